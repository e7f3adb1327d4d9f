import { relative, resolve, sep } from 'node:path'
import { loadHalf } from '../../../src/data/catalog-images.js'
import type { HalfName } from '../../../src/data/datasets/dataset.js'
import { halfOf } from '../../../src/data/datasets/image-folder/folder-halves.js'
import { labelledFolder } from '../../../src/data/datasets/image-folder/labelled-folder.js'
import { ImageNotes } from '../../../src/data/image-notes.js'
import { halfRegions } from '../../../src/data/regions/catalog-regions.js'
import { UnreadableImages, type UnreadableLimit } from '../../../src/data/unreadable-images.js'
import { dataFolder } from '../../../src/files/data-folder.js'
import { decodeImage } from '../../../src/files/images/image-files.js'
import { isPrepared } from '../../../src/files/prepared/prepared-set.js'
import { regionsInThread } from '../../../src/files/regions/reading-thread.js'
import type { RunConfig } from '../../../src/run/run-config.js'
import type { TrainingData } from '../../../src/train/feed.js'
import { dataPath } from '../../terminal/data-path.js'
import { UsageError } from '../../terminal/usage-error.js'
import { decodingOf } from '../model-decoding.js'
import { loadData, loadRegions, unreadableNotes } from '../run-data.js'
import type { EvaluatedModel } from './evaluated-model.js'

/** Labelled images that a model is evaluated on. */
export interface EvaluatedImages {
  readonly set: TrainingData
  /** What they are, as sentences use it: `20 test images of plants`. */
  readonly description: string
  /** What was found and left out, a sentence each. */
  readonly notes: readonly string[]
}

/** The halves of the dataset of a run that were not trained on. */
export interface RunImages {
  readonly test: EvaluatedImages
  /** For choosing, where the dataset has such images. */
  readonly validation?: EvaluatedImages
}

/**
 * The images of a run that were not trained on.
 *
 * @param data folder of the user's files, where that of the run has moved
 * @throws Error when they cannot be read
 */
export async function runImages({ dataset, model, seed }: RunConfig, data?: string): Promise<RunImages> {
  const request = data === undefined ? dataset : { ...dataset, data: dataPath(data) }
  const load = model.options.kind === 'routed' ? loadRegions : loadData
  const { test, validation } = await load(request, seed)
  const described = (set: TrainingData, half: string): EvaluatedImages => ({
    set,
    description: `${set.count} ${half} images of ${dataset.name}`,
    notes: [],
  })
  return {
    test: described(test, 'test'),
    ...(validation && { validation: described(validation, 'validation') }),
  }
}

/**
 * The labelled images of a folder, one folder a class, as the model takes them; those that cannot be read are left out, up to
 * a limit.
 *
 * @param options.flag what named the folder, for errors
 * @throws UsageError for a folder that `pmoe data prepare` wrote; Error when the folder has no images of the model's
 *   classes, or too many cannot be read
 */
export async function folderImages(
  model: EvaluatedModel,
  folder: string,
  { maxUnreadable, flag }: { readonly maxUnreadable?: UnreadableLimit; readonly flag: string },
): Promise<EvaluatedImages> {
  if (await isPrepared(folder)) {
    throw new UsageError(
      `evaluate: ${flag} must be a folder of images, one folder a class, got ${folder}, which pmoe data prepare wrote ` +
        '(--data reads it as the images of the run)',
    )
  }
  const { opened, classNames, canvas } = model
  const source = dataFolder(folder)
  const { images, half, notes } = await labelledFolder(source, classNames)
  const unreadable = new UnreadableImages('evaluate', images.count, maxUnreadable)
  const imageNotes = new ImageNotes()
  const { whiteLevel } = opened.config?.dataset ?? {}
  const set = !canvas
    ? await loadHalf(
        'evaluate',
        { decoding: decodingOf(opened), classNames },
        images,
        imageNotes.listen(decodeImage),
        unreadable,
      )
    : await halfRegions(
        'evaluate',
        { classNames },
        images,
        canvas,
        regionsInThread(folder, {
          channels: canvas[2] === 1 ? 1 : 3,
          ...(whiteLevel !== undefined && { whiteLevel }),
        }),
        unreadable,
      )
  return {
    set,
    description: `${set.count} image${set.count === 1 ? '' : 's'} of ${folder}`,
    notes: [
      ...notes,
      ...trainedOnNotes(opened.config, folder, half),
      ...imageNotes.lines,
      ...unreadableNotes(unreadable.images),
    ],
  }
}

/** Says that a model was trained on the images of a folder, as far as their place tells. */
function trainedOnNotes(
  config: RunConfig | undefined,
  folder: string,
  half: HalfName | undefined,
): readonly string[] {
  const { data = null } = config?.dataset ?? {}
  if (data === null) return []
  const [inside = ''] = relative(data, resolve(folder)).split(sep)
  const isTraining = inside === '' ? half === undefined || half === 'train' : halfOf(inside) === 'train'
  return isTraining
    ? [`The model was trained on images of ${folder}: without a folder its test images alone are evaluated.`]
    : []
}
