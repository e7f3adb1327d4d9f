import { type BackendName, useBackend } from '../../src/backend/choose.js'
import { ImageNotes } from '../../src/data/image-notes.js'
import type { UnreadableImage } from '../../src/data/unreadable-images.js'
import { explain } from '../../src/explain/explain.js'
import type { FrozenClassifier } from '../../src/inference/frozen-classifier.js'
import { type ChosenExperts, chosenText } from '../../src/report/chosen-experts.js'
import { printableName } from '../../src/report/escape.js'
import { expertTitle } from '../../src/report/expert-title.js'
import type { KeptPatches } from '../../src/report/routing-figure.js'
import type { RunConfig } from '../../src/run/run-config.js'
import type { ImageShape, Size2D } from '../../src/shapes.js'
import { predictProbabilities } from '../../src/train/evaluate.js'
import { type DecodedImage, decodeFiles, refuseUnreadable } from '../run/decoded-images.js'
import { frozenWhereFaster } from '../run/frozen-model.js'
import { namedImages } from '../run/image-paths.js'
import { decodingOf } from '../run/model-decoding.js'
import { keepPatches, type OpenedModel } from '../run/opened-model.js'
import { AnySizeModel, imageFiles, regionAnswers } from '../run/regions/region-answers.js'
import { askedModel, type PlainModelRequest } from '../run/transfer/plain-model.js'
import { csvLine } from '../terminal/csv.js'
import { noteText } from '../terminal/safe-output.js'
import { percent } from '../terminal/training-log.js'
import { UsageError } from '../terminal/usage-error.js'

/** The flags of `pmoe predict`. */
export interface PredictRequest extends PlainModelRequest {
  /** L, in the place of that of training. */
  readonly patchesPerExpert?: number
  readonly backend?: BackendName | 'auto'
  /** Whether each image is seen mirrored as well. */
  readonly testFlips?: boolean
  readonly json?: boolean
  readonly csv?: boolean
}

/** The answer of a model for one image file. */
interface Prediction {
  readonly image: string
  readonly class: string
  readonly probability: number
  readonly probabilities: Readonly<Record<string, number>>
  /** For a mixture: the grid of patches, [rows, columns], and what each expert kept, best first. */
  readonly grid?: Size2D
  readonly experts?: readonly (KeptPatches & {
    /** Of images that are read in parts: top, left, height and width of each patch in pixels. */
    readonly boxes?: readonly (readonly number[])[]
  })[]
  /** For layers that send whole images to experts: which ones, their gates, and the scores of all. */
  readonly choices?: readonly ChosenExperts[]
}

/**
 * Classifies image files and writes the classes, and for a mixture the patches that each expert kept; images that
 * cannot be read are left out.
 *
 * @throws Error at the end, naming the images that could not be read
 */
export async function runPredict(
  path: string,
  named: readonly string[],
  request: PredictRequest,
): Promise<void> {
  const { paths, notes, unreadable: missing } = await namedImages(named)
  const unreadable = [...missing]
  const imageNotes = new ImageNotes()
  await useBackend(request.backend ?? 'auto')
  const opened = await askedModel(path, 'predict', request)
  const answers = predictions(opened, paths, request, unreadable, imageNotes)
  const classNames = namesOf(opened)
  // With the first answer: what is refused is refused before anything is written.
  let header = request.csv ? `${csvHeader(classNames)}\n` : ''
  for await (const prediction of answers) {
    process.stdout.write(`${header}${lineOf(prediction, classNames, request)}\n`)
    header = ''
  }
  process.stdout.write(header)
  for (const note of [...notes, ...imageNotes.lines]) process.stderr.write(`${noteText(note)}\n`)
  refuseUnreadable(unreadable, paths.length + missing.length)
}

function lineOf(
  prediction: Prediction,
  classNames: readonly string[],
  { json, csv }: PredictRequest,
): string {
  if (json) return JSON.stringify(prediction)
  return csv ? csvRow(prediction, classNames) : predictionText(prediction)
}

function csvHeader(classNames: readonly string[]): string {
  return csvLine(['image', 'class', 'probability', ...classNames.map(name => `probability of ${name}`)])
}

function csvRow(
  { image, class: name, probability, probabilities }: Prediction,
  classNames: readonly string[],
): string {
  return csvLine([image, name, probability, ...classNames.map(className => probabilities[className] ?? '')])
}

/** The classes of a model; their numbers where it does not say them. */
function namesOf({ model, classNames }: OpenedModel): readonly string[] {
  if (classNames) return classNames
  const outputs = model.outputs[0]?.shape.at(-1) ?? 0
  return Array.from({ length: outputs === 1 ? 2 : outputs }, (_, label) => String(label))
}

/** Images decoded and classified at a time. */
const BATCH = 32

/** What is refused is refused before the first answer is asked for. */
function predictions(
  opened: OpenedModel,
  paths: readonly string[],
  request: PredictRequest,
  unreadable: UnreadableImage[],
  notes: ImageNotes,
): AsyncGenerator<Prediction> {
  const { config } = opened
  const options = config?.model.options
  if (config && options?.kind === 'routed') {
    if (request.testFlips) {
      throw new UsageError(
        'predict: --test-flips must be left out for a model that reads images in parts, got it with model routed',
      )
    }
    const model = new AnySizeModel(opened, options, 'predict', request)
    return predictionsInParts(opened, config, model, paths, unreadable)
  }
  keepPatches(opened.model, 'predict', request)
  return predictionsOfWhole(opened, paths, request, unreadable, notes)
}

async function* predictionsInParts(
  opened: OpenedModel,
  { dataset }: RunConfig,
  model: AnySizeModel,
  paths: readonly string[],
  unreadable: UnreadableImage[],
): AsyncGenerator<Prediction> {
  const images = imageFiles(model, paths, dataset)
  for await (const answer of regionAnswers(model, images, unreadable)) {
    const experts = answer.experts.map(({ crops: _, ...kept }) => kept)
    yield predictionOf(opened, answer.path, { ...answer, experts })
  }
}

async function* predictionsOfWhole(
  opened: OpenedModel,
  paths: readonly string[],
  { testFlips = false }: PredictRequest,
  unreadable: UnreadableImage[],
  notes: ImageNotes,
): AsyncGenerator<Prediction> {
  const decoding = decodingOf(opened)
  const frozen = await frozenWhereFaster(opened.model, { images: paths.length, routes: true })
  for (let first = 0; first < paths.length; first += BATCH) {
    const images = await decodeFiles(paths.slice(first, first + BATCH), decoding, unreadable, notes)
    yield* await predict(opened, images, decoding.shape, { frozen, testFlips })
  }
}

async function predict(
  opened: OpenedModel,
  images: readonly DecodedImage[],
  shape: ImageShape,
  { frozen, testFlips }: { readonly frozen: FrozenClassifier | undefined; readonly testFlips: boolean },
): Promise<Prediction[]> {
  if (images.length === 0) return []
  const pixels = new Uint8Array(Buffer.concat(images.map(image => image.pixels)))
  const { grid, images: explained } = await explain(opened.model, pixels, shape, {
    sensitivity: false,
    frozen,
  })
  const means = testFlips
    ? await predictProbabilities(opened.model, pixels, shape, { frozen, testFlips })
    : explained.map(({ probabilities }) => probabilities)
  return explained.map(({ experts, choices }, i) => ({
    ...predictionOf(opened, images[i]?.path ?? '', {
      probabilities: means[i] as Float32Array,
      ...(grid && { grid, experts }),
    }),
    ...(choices && { choices }),
  }))
}

function predictionOf(
  opened: OpenedModel,
  image: string,
  { probabilities, grid, experts }: Pick<Prediction, 'grid' | 'experts'> & { probabilities: Float32Array },
): Prediction {
  const classNames = namesOf(opened)
  const predicted = probabilities.indexOf(Math.max(...probabilities))
  return {
    image,
    class: classNames[predicted] ?? String(predicted),
    probability: probabilities[predicted] ?? Number.NaN,
    probabilities: Object.fromEntries(
      [...probabilities].map((value, label) => [classNames[label] ?? label, value]),
    ),
    ...(grid && experts && { grid, experts }),
  }
}

function predictionText({
  image,
  class: name,
  probability,
  grid,
  experts,
  choices = [],
}: Prediction): string {
  const lines = [`${printableName(image)}: ${printableName(name)} ${percent(probability)}`]
  lines.push(...choices.map(choice => `  by ${printableName(chosenText(choice))}`))
  if (!grid || !experts) return lines.join('\n')
  const [, , height, width] = experts[0]?.boxes?.[0] ?? []
  const how =
    height === undefined
      ? 'numbered row by row from 0'
      : `of ${height}x${width} pixels, by the row and column where they begin`
  lines.push(`  of ${grid[0]}x${grid[1]} patches, ${how}, with their gates:`)
  experts.forEach((expert, position) => {
    const { patches, gates, boxes } = expert
    const keptPatches = patches.map((patch, i) => {
      const name = boxes ? boxes[i]?.slice(0, 2).join(':') : patch
      return `${name} (${gates[i]!.toPrecision(2)})`
    })
    lines.push(`  ${expertTitle(expert, position)} kept ${keptPatches.join(', ')}`)
  })
  return lines.join('\n')
}
