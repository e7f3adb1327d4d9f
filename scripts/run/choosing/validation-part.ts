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
 * @throws UsageError naming the class that has too few images, for images that cannot be parted, and where boxes are given: those of
 *   validation images would be learned from
 */
export function partedRegions(
  { train, validation, boxed }: Pick<RegionDataset, 'train' | 'validation' | 'boxed'>,
  request: Request,
  seed: number,
): Parted<RegionDataset['train']> {
  const choice = validationChoice(request, seed, validation)
  if (!choice) return { train, ...(validation && { validation }), notes: [] }
  const { labels, names, classNames } = train
  if (boxed) {
    throw new UsageError(
      `train: --validation must be left out with --boxes or --boxed-images, got ${choice.part} ` +
        `(${boxed.count} training images with boxes teach the router)`,
    )
  }
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
  return { train: training, validation: chosen, notes: [partNote(choice, training, chosen)] }
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
