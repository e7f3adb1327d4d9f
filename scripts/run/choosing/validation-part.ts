import type { Dataset, RegionDataset } from '../../../src/data/datasets/dataset.js'
import { loadRecords, recordsOf, someRecords } from '../../../src/data/image-records.js'
import type { ImageSet } from '../../../src/data/image-set.js'
import { type ValidationChoice, validationParts } from '../../../src/data/stratified.js'
import { deriveSeed } from '../../../src/random.js'
import type { PlannedRun } from '../../../src/run/run-config.js'
import { asUsage, UsageError } from '../../terminal/usage-error.js'

type Request = PlannedRun['dataset']

/**
 * Which of the training images are to be validation images, if any.
 *
 * @param own the validation half that the images have already
 * @throws UsageError when there is one and another is asked for
 */
export function validationChoice(
  { validation: part }: Request,
  seed: number,
  own: { readonly count: number } | undefined,
): ValidationChoice | undefined {
  if (part === undefined) return undefined
  if (!own) return { part, seed: deriveSeed(seed, 'validation') }
  throw new UsageError(
    `train: --validation must be left out for images with a validation half, got ${part} (the half has ${own.count} images)`,
  )
}

/** Training and validation images as a run asks for them. */
interface Parted<Images> {
  readonly train: Images
  /** Those of the training images that have boxes. */
  readonly boxed?: Images
  readonly validation?: Images
  /** What was taken from where, a sentence. */
  readonly notes: readonly string[]
}

/**
 * The images of a dataset in memory, with the validation part that is asked for.
 *
 * @throws UsageError naming the class that has too few images
 */
export async function partedSet(
  { train, validation }: Pick<Dataset, 'train' | 'validation'>,
  request: Request,
  seed: number,
): Promise<Parted<ImageSet>> {
  const choice = validationChoice(request, seed, validation)
  if (!choice) return { train, ...(validation && { validation }), notes: [] }
  const parts = asUsage(() => validationParts(train, choice))
  const records = recordsOf(train)
  const [training, chosen] = [
    await loadRecords(someRecords(records, parts.train)),
    await loadRecords(someRecords(records, parts.validation)),
  ]
  return { train: training, validation: chosen, notes: [partNote(choice, training, chosen)] }
}

/**
 * The images that are read in parts, with the validation part that is asked for.
 *
 * Boxes of validation images teach nothing.
 *
 * @throws UsageError naming the class that has too few images, for images that cannot be parted, and where no training image with
 *   boxes is left
 */
export function partedRegions(
  dataset: Pick<RegionDataset, 'train' | 'validation' | 'boxed' | 'boxedPositions'>,
  request: Request,
  seed: number,
): Parted<RegionDataset['train']> {
  const { train, validation, boxed } = dataset
  const choice = validationChoice(request, seed, validation)
  if (!choice) return { train, ...(boxed && { boxed }), ...(validation && { validation }), notes: [] }
  const { labels, names, classNames } = train
  if (!labels || !train.some) {
    throw new UsageError(
      `train: --validation must be used with images that can be parted, got ${choice.part}`,
    )
  }
  const parts = asUsage(() => validationParts({ labels, classNames }, choice))
  const part = (positions: Int32Array): RegionDataset['train'] => {
    const some = train.some?.(positions) as RegionDataset['train']
    return names ? { ...some, names: Array.from(positions, at => names[at] as string) } : some
  }
  const [training, chosen] = [part(parts.train), part(parts.validation)]
  const notes = [partNote(choice, training, chosen)]
  const taught = boxed && boxedOf(dataset, parts.train, choice)
  return { train: training, ...(taught && { boxed: taught }), validation: chosen, notes }
}

/** The images with boxes among some of the training images. */
function boxedOf(
  { boxed, boxedPositions = new Int32Array() }: Pick<RegionDataset, 'boxed' | 'boxedPositions'>,
  trained: Int32Array,
  { part }: ValidationChoice,
): RegionDataset['train'] {
  const isTrained = new Set(trained)
  const left = Int32Array.from(boxedPositions.keys()).filter(i => isTrained.has(boxedPositions[i] as number))
  const some = left.length === 0 ? undefined : boxed?.some?.(left)
  if (some) return some
  throw new UsageError(
    `train: --validation must leave training images with boxes, got ${part}, which leaves none of ${boxed?.count}`,
  )
}

/** Says how many images choose the epoch, and that they are not trained on. */
export function partNote(
  { part }: ValidationChoice,
  train: { readonly count: number },
  validation: { readonly count: number },
): string {
  const which = typeof part === 'number' ? `a share of ${part} of each class` : `fold ${part} of each class`
  return `Validation: ${validation.count} of the ${train.count + validation.count} training images, ${which}.`
}
