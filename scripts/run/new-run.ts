import * as tf from '@tensorflow/tfjs-core'
import type { BackendChoice } from '../../src/backend/choose.js'
import { datasetEntry } from '../../src/data/datasets.js'
import { type RunConfig, runConfig } from '../../src/files/run-config.js'
import {
  fineTuningRecipe,
  type ModelName,
  type Recipe,
  recipe,
  type TrainingRecipe,
} from '../../src/models/recipes.js'
import type { Size2D } from '../../src/shapes.js'
import { packageVersion } from '../terminal/package-version.js'
import { asUsage, UsageError } from '../terminal/usage-error.js'
import { fitAnnealing, fitInitial } from './fine-tuning.js'
import { checkSettings, dataPath, loadData, type RunData } from './run-data.js'
import { fitSeparateRouters } from './separate-routers.js'
import { type Draft, type GivenFlags, withFlags } from './train-settings.js'

/** A run that has not begun: its configuration and its images. */
export interface NewRun {
  readonly config: RunConfig
  readonly data: RunData
}

/** What a run is asked to be. */
export interface RunRequest {
  readonly dataset: string
  readonly model: ModelName | 'init'
  /** For model `init`: where it comes from, and the images that it takes. */
  readonly init?: Initial
  /** Folder of the user's own files. */
  readonly data?: string | undefined
  /** Settings that differ from the recipe. */
  readonly flags: GivenFlags
}

/** A network that was trained before. */
export interface Initial {
  /** Folder of the run or the model. */
  readonly from: string
  readonly imageSize: Size2D
}

/**
 * Puts together the configuration of a run, from the recipe of its dataset and model and what the user changed, and
 * loads its images.
 *
 * @param backend that was chosen
 * @throws UsageError for an unknown name or a setting that cannot be; Error when data are missing or damaged
 */
export async function newRun(request: RunRequest, backend: BackendChoice): Promise<NewRun> {
  const entry = asUsage(() => datasetEntry(request.dataset))
  if (entry.source === 'folder' && request.data === undefined) {
    throw new UsageError(
      `train: --data must name the folder of ${entry.name}, got none (see ${entry.homepage})`,
    )
  }
  if (entry.source === 'generated' && request.data !== undefined) {
    throw new UsageError(
      `train: --data must be left out for ${entry.name}, got ${request.data} (its images are drawn)`,
    )
  }
  const chosen = asUsage(() => startingPoint(request))
  const draft = withFlags(startOf(request, chosen, backend), request.model, request.flags)
  if (request.init) fitInitial(draft, request.init, entry)
  fitAnnealing(draft, request.flags)
  const wanted = draft.dataset as RunConfig['dataset']
  asUsage(() => checkSettings(entry, wanted))
  const seed = draft.seed as number
  const given = request.flags.samples !== undefined
  const { data, samples } = await loadUpTo(wanted, seed, given)
  const { classNames, groupNames } = data.train
  draft.dataset = { ...wanted, ...data.prepared, samples, classNames, ...(groupNames && { groupNames }) }
  fitOutputs(draft, classNames.length)
  fitPatches(draft, request, data.train)
  fitSeparateRouters(draft, request.flags, classNames.length)
  return { config: asUsage(() => runConfig(draft, 'train')), data }
}

interface StartingPoint {
  readonly model: Recipe['model'] | { readonly kind: 'init'; readonly from: string }
  readonly training: TrainingRecipe
}

function startingPoint({ dataset, model, init }: RunRequest): StartingPoint {
  if (model !== 'init') return recipe(dataset, model)
  if (!init) throw new RangeError('train: model init must come with --init, got none')
  return { model: { kind: 'init', from: init.from }, training: fineTuningRecipe(dataset) }
}

function startOf(
  { dataset, model, data }: RunRequest,
  { model: options, training }: StartingPoint,
  backend: BackendChoice,
) {
  const { samples, ...rest } = training
  return {
    dataset: { name: dataset, data: dataPath(data), samples, testSamples: null },
    model: { name: model, options },
    training: rest,
    seed: 1,
    backend: backend.name,
    precision: 'float32',
    memory: 'normal',
    versions: {
      patchMoe: packageVersion(),
      tfjs: tf.version_core,
      node: process.versions.node,
      ...(backend.tensorflow && { tensorflow: backend.tensorflow.version }),
    },
  }
}

/** The recipe's number of images, or all there are where a user's folder holds fewer. */
async function loadUpTo(
  wanted: RunConfig['dataset'],
  seed: number,
  given: boolean,
): Promise<{ data: RunData; samples: number | null }> {
  try {
    return { data: await loadData(wanted, seed), samples: wanted.samples }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    if (wanted.data === null) throw new UsageError(error.message, { cause: error })
    // Damaged files fail again here; where all images load, too many of them were asked for.
    const all = await loadData({ ...wanted, samples: null, testSamples: null }, seed)
    if (given || wanted.testSamples !== null) {
      throw new UsageError(error.message, { cause: error })
    }
    return { data: all, samples: null }
  }
}

/** One logit tells two classes apart, as many recipes have it; settings of the data may give more. */
function fitOutputs(draft: Draft, classes: number): void {
  const options = (draft.model as { options: Draft }).options
  if (classes !== 2) delete options.oneLogit
}

/** Two-layer models cut composed images into their cells unless told otherwise, and the CNN keeps every patch. */
function fitPatches(draft: Draft, { model, flags }: RunRequest, images: RunData['train']): void {
  const options = (draft.model as { options: Draft }).options
  if (options.kind !== 'two-layer') return
  const [height, width] = images.shape
  if (flags.patchSize === undefined && images.cells) options.patchSize = height / images.cells[0]
  const side = options.patchSize
  if (model === 'two-layer' && typeof side === 'number') {
    options.patchesPerExpert = Math.floor(height / side) * Math.floor(width / side)
  }
}
