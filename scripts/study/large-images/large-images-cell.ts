import type * as tfl from '@tensorflow/tfjs-layers'
import type { BackendChoice } from '../../../src/backend/choose.js'
import { modelCost } from '../../../src/models/cost.js'
import { disposeModel } from '../../../src/models/dispose-model.js'
import { configKey } from '../../../src/run/run-config.js'
import { evaluate } from '../../../src/train/evaluate.js'
import { networkOf } from '../../../src/train/feed.js'
import { type EpochMetrics, train } from '../../../src/train/loop.js'
import { optimizerOf, trainOptions } from '../../run/training-run.js'
import type { Cell } from '../cell.js'
import type { CellCheckpoints } from '../cell-checkpoints.js'
import type { OnLargeImages } from '../cell-result.js'
import type { LargeImagesGrid } from '../grids/large-images-grid.js'
import { type ReadingNetwork, readingNetwork, type TaskRun, taskRun, variantOf } from './task-run.js'

/** Whole images of 1504x1504 are computed so many at a time. */
const evaluationBatchSize = 32

/** What a cell is run with. */
export interface LargeImagesWork {
  readonly backend: BackendChoice
  /** Ends the cell, with the signal's reason as the error. */
  readonly signal: AbortSignal
  /** Is told what the cell is before it is trained. */
  keepConfig(run: TaskRun['config']): Promise<void>
  readonly checkpoints: CellCheckpoints
  /** Gets the trained network, which is freed afterwards. */
  keepNetwork(network: tfl.LayersModel): Promise<void>
}

/**
 * Trains the network of a cell on large images and tests it.
 *
 * @throws UsageError, RangeError or Error as `newRun`; DivergenceError when the loss or a weight is no longer finite; the
 *   reason of the signal when it was aborted
 */
export async function trainOnLargeImages(
  grid: LargeImagesGrid,
  cell: Cell,
  { backend, checkpoints, signal, keepConfig, keepNetwork }: LargeImagesWork,
): Promise<OnLargeImages> {
  const run = await taskRun(grid, cell, backend)
  await keepConfig(run.config)
  const network = readingNetwork(run, variantOf(grid, cell).reads)
  try {
    const trained = await trainNetwork(network, run, { checkpoints, signal })
    await keepNetwork(networkOf(network.model))
    return trained
  } finally {
    disposeModel(networkOf(network.model))
  }
}

/** Trains a network in place and tests it. */
export async function trainNetwork(
  network: ReadingNetwork,
  { config }: Pick<TaskRun, 'config'>,
  { checkpoints, signal }: Pick<LargeImagesWork, 'checkpoints' | 'signal'>,
): Promise<OnLargeImages> {
  const options = {
    ...trainOptions(config),
    optimizer: optimizerOf(config),
    signal,
    ...(await checkpoints.options(configKey(config))),
  }
  const events =
    network.reads === 'patches'
      ? train(network.model, { ...options, train: network.train })
      : train(network.model, { ...options, train: network.train })
  const history: EpochMetrics[] = [...(options.resume?.history ?? [])]
  for await (const event of events) if (event.type === 'epoch') history.push(event)
  signal.throwIfAborted()
  return { ...trainedOf(history), ...costOf(network), ...(await tested(network, signal)) }
}

function trainedOf(history: readonly EpochMetrics[]) {
  const last = history.at(-1)
  if (!last) throw new Error('study: training must have an epoch, got none')
  const recalls = history.flatMap(({ kept }) => kept?.recall ?? [])
  return {
    trainAccuracy: last.trainAccuracy,
    trainLoss: last.trainLoss,
    epochs: history.length,
    steps: last.steps,
    seconds: history.reduce((sum, { seconds }) => sum + seconds, 0),
    ...(recalls.length > 0 && { recalls }),
  }
}

function costOf({ model }: ReadingNetwork) {
  const { parameters, multiplyAdds } = modelCost(networkOf(model))
  return { parameters: parameters.total, multiplyAdds: multiplyAdds.forward }
}

async function tested(network: ReadingNetwork, signal: AbortSignal) {
  const options = { batchSize: evaluationBatchSize, signal }
  const { accuracy, kept } =
    network.reads === 'patches'
      ? await evaluate(network.model, network.test, options)
      : await evaluate(network.model, network.test, options)
  return {
    testAccuracy: accuracy,
    ...(kept && { blank: kept.blank, ...(kept.recall !== undefined && { recall: kept.recall }) }),
  }
}
