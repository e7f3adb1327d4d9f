import { type BestEpoch, readWeights, restoreWeights } from './checkpoint.js'
import { bestEpoch } from './early-stop.js'
import type { EpochMetrics } from './events.js'
import type { TrainingData } from './feed.js'
import { type Run, shareDone } from './run.js'
import type { TrainOptions } from './train-options.js'

/**
 * Whether a run ends with the weights of its best epoch: there are validation images, and no loss that says when to end. A run whose
 * state was stored by an earlier version, without such weights, keeps its last ones.
 */
function choosesBest({ validation, stopWhen, resume }: TrainOptions<TrainingData>): boolean {
  if (!validation || stopWhen) return false
  return !resume || resume.best !== undefined || bestEpoch(resume.history) === undefined
}

/**
 * The best epoch once the running one is measured: this one with the weights that the model has now, or the one that was the best
 * before. Epochs in which mixtures kept another number of patches do not count, since the run ends with this one.
 *
 * @param measured the values of the running epoch
 */
export async function bestWith(
  run: Run,
  measured: Pick<EpochMetrics, 'validationLoss' | 'validationAccuracy' | 'patchesPerExpert'>,
): Promise<BestEpoch | undefined> {
  const { history, best, options, parts } = run
  if (!choosesBest(options)) return undefined
  const epoch = history.length + 1
  const alike = history.filter(({ patchesPerExpert }) => patchesPerExpert === measured.patchesPerExpert)
  const isBest = bestEpoch([...alike, { epoch, ...measured }], options.earlyStop?.metric) === epoch
  return isBest ? { epoch, weights: await readWeights(parts.model) } : best
}

/** Measures something with the model as it was in an epoch, then gives it its own weights back. */
export async function duringBest<T>(
  run: Run,
  best: BestEpoch | undefined,
  measure: () => Promise<T>,
): Promise<T> {
  if (!best || best.epoch === run.history.length + 1) return measure()
  const own = await readWeights(run.parts.model)
  useBest(run, best)
  try {
    return await measure()
  } finally {
    restoreWeights(run.parts.model, own)
    setProgress(run, shareDone(run, run.stepsPerEpoch))
  }
}

/** Gives the model the weights of its best epoch, exactly, and its layers what they did then. */
export function useBest(run: Run, { epoch, weights }: BestEpoch): void {
  restoreWeights(run.parts.model, weights)
  setProgress(run, epoch / run.options.epochs)
}

function setProgress({ progressing }: Run, share: number): void {
  for (const layer of progressing) layer.useProgress(share)
}
