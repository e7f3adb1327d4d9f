import type * as tfl from '@tensorflow/tfjs-layers'
import type { ImageSet } from '../../src/data/image-set.js'
import type { ImageStream } from '../../src/data/image-stream.js'
import { modelCost } from '../../src/models/cost.js'
import { configKey, type RunConfig } from '../../src/run/run-config.js'
import { evaluate } from '../../src/train/evaluate.js'
import { type EpochMetrics, type TrainEvent, train } from '../../src/train/loop.js'
import { type ExpertPair, measureMixtures } from '../../src/train/routing/mixture-measures.js'
import { measureRouting } from '../../src/train/routing/routing-summary.js'
import { trainSeparately } from '../../src/train/routing/separate.js'
import { type SignOfLife, signsOfLife } from '../../src/train/routing/signs-of-life.js'
import { optimizerOf, routersOf, trainOptions } from '../run/training-run.js'
import type { CellCheckpoints } from './cell-checkpoints.js'
import type { CellRouting, CellSigns, Trained } from './cell-result.js'
import type { CellRun } from './cell-run.js'

/** Share of the training images that must be right for training to have converged. */
export const convergedShare = 0.99

const evaluationBatchSize = 128

/** How a cell is trained. */
export interface CellTraining {
  /** Ends with the first epoch in which no training image was wrong. */
  readonly untilNoError: boolean
  readonly checkpoints: CellCheckpoints
  /** Ends the cell, with the signal's reason as the error. */
  readonly signal: AbortSignal
}

/**
 * Trains and tests the network of a cell; the test images are seen once, at the end. Epochs are fixed and nothing is
 * chosen by accuracy, so a validation half is not looked at.
 *
 * @throws DivergenceError when the loss or a weight is no longer finite; the reason of the signal when it was aborted
 */
export async function trainCell(
  { config, data, model }: CellRun,
  { untilNoError, checkpoints, signal }: CellTraining,
): Promise<Trained> {
  const early = new AbortController()
  const routers = routersOf(config)
  const options = {
    train: data.train,
    ...trainOptions(config),
    optimizer: optimizerOf(config),
    // An evaluation estimates the BatchNorm statistics anew; one after the last epoch is enough.
    evaluateEvery: config.training.epochs,
    signal: AbortSignal.any([signal, early.signal]),
    ...(await checkpoints.options(configKey(config))),
  }
  const events: AsyncIterable<TrainEvent> = routers
    ? trainSeparately(model, { ...options, routers })
    : train(model, options)
  const history: EpochMetrics[] = [...(options.resume?.history ?? [])]
  if (untilNoError && history.at(-1)?.trainAccuracy === 1) early.abort()
  for await (const event of events) {
    if (event.type !== 'epoch') continue
    history.push(event)
    if (untilNoError && event.trainAccuracy === 1) early.abort()
  }
  signal.throwIfAborted()
  return { ...trainedOf(history), ...costOf(model), ...(await tested(model, data.test, config, signal)) }
}

function trainedOf(history: readonly EpochMetrics[]) {
  const last = history.at(-1)
  if (!last) throw new Error('study: training must have an epoch, got none')
  const seconds = (epochs: readonly EpochMetrics[]) => epochs.reduce((sum, epoch) => sum + epoch.seconds, 0)
  const firstConverged = history.findIndex(({ trainAccuracy }) => trainAccuracy >= convergedShare)
  return {
    trainAccuracy: last.trainAccuracy,
    trainLoss: last.trainLoss,
    epochs: history.length,
    steps: last.steps,
    seconds: seconds(history),
    ...(firstConverged >= 0 && {
      converged: { epoch: firstConverged + 1, seconds: seconds(history.slice(0, firstConverged + 1)) },
    }),
  }
}

function costOf(model: tfl.LayersModel) {
  const { parameters, multiplyAdds } = modelCost(model)
  return { parameters: parameters.total, multiplyAdds: multiplyAdds.forward }
}

async function tested(
  model: tfl.LayersModel,
  test: ImageSet | ImageStream,
  config: RunConfig,
  signal: AbortSignal,
) {
  const { accuracy, loss, worstGroup } = await evaluate(model, test, {
    batchSize: evaluationBatchSize,
    signal,
  })
  const routing = await routingOf(model, test)
  const signs = await signsOf(model, test, config)
  return {
    testAccuracy: accuracy,
    testLoss: loss,
    ...(worstGroup !== undefined && { worstGroup }),
    ...(routing && { routing }),
    ...(signs && { signs }),
  }
}

async function signsOf(
  model: tfl.LayersModel,
  test: ImageSet | ImageStream,
  { seed, training }: RunConfig,
): Promise<CellSigns | undefined> {
  const layers = await measureMixtures(model, test, { seed })
  const pairs = layers.flatMap(layer => layer.pairs)
  if (pairs.length === 0) return undefined
  const signs = layers.flatMap(layer => signsOfLife(layer, { epoch: training.epochs }))
  const countOf = (kind: SignOfLife['sign']) =>
    signs.reduce((sum, { sign, experts }) => sum + (sign === kind ? experts.length : 0), 0)
  const meanOf = (value: (pair: ExpertPair) => number) =>
    pairs.reduce((sum, pair) => sum + value(pair), 0) / pairs.length
  return {
    samePatches: meanOf(({ samePatches }) => samePatches),
    difference: meanOf(({ difference }) => difference),
    deadExperts: countOf('dead-experts'),
    blankExperts: countOf('blank-experts'),
    identicalExperts: countOf('identical-experts'),
  }
}

async function routingOf(
  model: tfl.LayersModel,
  test: ImageSet | ImageStream,
): Promise<CellRouting | undefined> {
  const metrics = await measureRouting(model, test, { batchSize: evaluationBatchSize })
  if (!metrics) return undefined
  const { coverage, gates, fixedExperts, truth } = metrics
  const summary = {
    uncovered: coverage.none,
    largestShare: gates.reduce((sum, gate) => sum + gate.largestShare, 0) / gates.length,
    fixedExperts: fixedExperts.length,
  }
  if (!truth) return summary
  const classes = truth.largestGate.map((_, label) => label)
  return {
    ...summary,
    recall: [...truth.recall],
    ...(truth.ownRecall && { ownRecall: [...truth.ownRecall] }),
    largestGate: truth.largestGate.map(({ expert, share }) => ({ expert, share: orNull(share) })),
    bestShares: classes.map(label =>
      truth.recallByExpert.map(byClass => orNull(byClass[label]?.[0] ?? Number.NaN)),
    ),
    deadExperts: truth.deadExperts.length,
  }
}

/** JSON has no NaN. */
function orNull(value: number): number | null {
  return Number.isNaN(value) ? null : value
}
