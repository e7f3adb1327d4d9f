import type { DatasetEntry } from '../../../src/data/datasets/datasets.js'
import { type PlannedRun, withNetwork } from '../../../src/run/run-config.js'
import type { Size2D } from '../../../src/shapes.js'
import { UsageError } from '../../terminal/usage-error.js'
import type { GivenFlags } from '../train-settings.js'

/** A network that was trained before. */
export interface Initial {
  /** Folder of the run or the model. */
  readonly from: string
  /** Undefined where it takes images of any size. */
  readonly imageSize?: Size2D | undefined
}

/**
 * Gives the images the size that a network trained before takes, where the dataset has that setting and none is asked for,
 * and checks the flags of a mixture.
 *
 * @throws UsageError when flags of a mixture come without `--experts`, or without the number of patches to keep, or the
 *   network takes images of any size and none is asked for
 */
export function fittedToInitial(
  run: PlannedRun,
  { from, imageSize }: Initial,
  { settings = [] }: Pick<DatasetEntry, 'settings'>,
): PlannedRun {
  checkInserted(run)
  if (!settings.includes('imageSize')) return run
  const wanted = run.dataset.imageSize ?? imageSize
  if (!wanted) {
    throw new UsageError(
      `train: --image-size must be given for the model of ${from}, which takes images of any size, got none`,
    )
  }
  const [height, width] = wanted
  return { ...run, dataset: { ...run.dataset, imageSize: [height, width] } }
}

function checkInserted({ model: { options }, training }: PlannedRun): void {
  if (options.kind !== 'init' || !options.insert) return
  const { numExperts, patchesPerExpert } = options.insert
  if (numExperts === undefined) {
    throw new UsageError(
      `train: --experts must be given with other flags of a mixture, got none (see pmoe plan)`,
    )
  }
  if (patchesPerExpert !== undefined || training.annealPatches !== undefined) return
  throw new UsageError(
    'train: --patches-per-expert or --anneal-patches must be given with --experts, got neither (see pmoe plan)',
  )
}

/**
 * Puts the number of patches that a mixture keeps at the end of annealing into its configuration.
 *
 * @throws UsageError when `--patches-per-expert` is given as well
 */
export function withAnnealing(run: PlannedRun, { patchesPerExpert }: GivenFlags): PlannedRun {
  const { annealPatches } = run.training
  if (!annealPatches) return run
  if (patchesPerExpert !== undefined) {
    throw new UsageError(
      `train: --patches-per-expert must be left out with --anneal-patches, got ${patchesPerExpert}`,
    )
  }
  const atEnd = { patchesPerExpert: annealPatches.to }
  const { options } = run.model
  if (options.kind === 'wide-resnet' && options.pmoe) {
    return withNetwork(run, { ...options, pmoe: { ...options.pmoe, ...atEnd } })
  }
  if (options.kind === 'init' && options.insert) {
    return withNetwork(run, { ...options, insert: { ...options.insert, ...atEnd } })
  }
  return run
}

/** Steps that a network of `--init` is trained by default, in so many epochs at most. */
const leastSteps = 300
const mostEpochs = 30
const leastBatch = 16

/**
 * Has few images train a network of `--init` longer than the recipe of their dataset says, which is for many: in smaller batches, at least
 * ten an epoch where they can be, and in more epochs, as far as nothing else is asked for.
 *
 * @param count of the training images
 */
export function withEnoughSteps(run: PlannedRun, flags: GivenFlags, count: number): PlannedRun {
  const { model, training } = run
  if (model.options.kind !== 'init') return run
  let { batchSize } = training
  while (flags.batchSize === undefined && batchSize > leastBatch && count < 10 * batchSize) {
    batchSize = Math.max(leastBatch, Math.floor(batchSize / 2))
  }
  const wanted = Math.ceil(leastSteps / Math.ceil(count / batchSize))
  const isFixed = flags.epochs !== undefined || training.annealPatches !== undefined
  const epochs = isFixed ? training.epochs : Math.max(training.epochs, Math.min(mostEpochs, wanted))
  return { ...run, training: { ...training, batchSize, epochs } }
}
