import type * as tfl from '@tensorflow/tfjs-layers'
import type { BackendChoice } from '../../../src/backend/choose.js'
import type { ImageSet } from '../../../src/data/image-set.js'
import { modelCost } from '../../../src/models/cost.js'
import { disposeModel } from '../../../src/models/dispose-model.js'
import type { RunConfig } from '../../../src/run/run-config.js'
import { evaluate } from '../../../src/train/evaluate.js'
import { type EpochMetrics, train } from '../../../src/train/loop.js'
import type { ClustersExperiment } from '../../experiments/experiment.js'
import { buildNetwork } from '../../run/network.js'
import { newRun } from '../../run/new-run.js'
import { optimizerOf, trainOptions } from '../../run/training-run.js'
import type { Cell } from '../cell.js'
import type { Clustered } from '../cell-result.js'
import type { ClustersGrid } from '../grids/clusters-grid.js'
import { type RoutedClusters, routedClusters } from './routed-clusters.js'

/** What a cell is run with. */
export interface ClustersWork {
  readonly dataset: ClustersExperiment['dataset']
  readonly backend: BackendChoice
  /** Ends the cell, with the signal's reason as the error. */
  readonly signal: AbortSignal
  /** Stores the configuration of the cell before it is trained. */
  keepConfig(run: RunConfig): Promise<void>
}

/**
 * Trains the network of a cell on one setting of the data model, and tests it with and without the noise of training in
 * its routing.
 *
 * @throws UsageError, RangeError or Error as `newRun`; DivergenceError when the loss or a weight is no longer finite; the
 *   reason of the signal when it was aborted
 */
export async function trainOnClusters(
  grid: ClustersGrid,
  cell: Cell,
  { dataset, backend, signal, keepConfig }: ClustersWork,
): Promise<Clustered> {
  const { config, data } = await newRun(
    { dataset, model: variantOf(grid, cell).model, flags: flagsOf(grid, cell) },
    backend,
  )
  await keepConfig(config)
  const [trainSet, testSet] = [data.train as ImageSet, data.test as ImageSet]
  const model = buildNetwork(config.model.options, trainSet, config.seed)
  const clusters = routedClusters(model, { train: trainSet, test: testSet, seed: config.seed })
  try {
    const trained = await trainedModel(model, trainSet, config, { grid, clusters, signal })
    return { ...trained, ...(await tested(model, testSet, clusters, signal)) }
  } finally {
    clusters?.dispose()
    disposeModel(model)
  }
}

function variantOf({ variants }: ClustersGrid, { variant: name, index }: Cell) {
  const match = variants.find(variant => variant.name === name)
  if (match) return match
  const names = variants.map(variant => variant.name).join(', ')
  throw new RangeError(`study: variant must be one of ${names}, got ${name} (cell ${index})`)
}

function flagsOf(grid: ClustersGrid, cell: Cell) {
  const { samples, testSamples, flags } = grid
  return {
    ...flags,
    ...variantOf(grid, cell).flags,
    ...(cell.setting !== undefined && { setting: cell.setting }),
    samples,
    testSamples,
    // One step an epoch, of all samples.
    batchSize: samples,
    seed: cell.seed,
  }
}

interface TrainedWith {
  readonly grid: ClustersGrid
  readonly clusters: RoutedClusters | undefined
  readonly signal: AbortSignal
}

async function trainedModel(
  model: tfl.LayersModel,
  samples: ImageSet,
  config: RunConfig,
  { grid, clusters, signal }: TrainedWith,
): Promise<Omit<Clustered, 'testAccuracy'>> {
  const options = { train: samples, ...trainOptions(config), optimizer: optimizerOf(config), signal }
  const entropies: { step: number; entropy: number }[] = []
  const history: EpochMetrics[] = []
  for await (const event of train(model, options)) {
    if (event.type !== 'epoch') continue
    history.push(event)
    if (!clusters || (event.steps - 1) % grid.entropySteps !== 0) continue
    entropies.push({ step: event.steps, entropy: (await clusters.test()).entropy })
  }
  signal.throwIfAborted()
  const last = history.at(-1)
  if (!last) throw new Error('study: training must have an epoch, got none')
  return {
    trainAccuracy: last.trainAccuracy,
    trainLoss: last.trainLoss,
    steps: last.steps,
    seconds: history.reduce((sum, epoch) => sum + epoch.seconds, 0),
    parameters: modelCost(model).parameters.total,
    ...(clusters && { entropies }),
  }
}

async function tested(
  model: tfl.LayersModel,
  samples: ImageSet,
  clusters: RoutedClusters | undefined,
  signal: AbortSignal,
) {
  const { accuracy } = await evaluate(model, samples, { batchSize: samples.count, signal })
  if (!clusters) return { testAccuracy: accuracy }
  return {
    testAccuracy: accuracy,
    noisyAccuracy: await clusters.noisyAccuracy(),
    routing: await clusters.test(),
    noisyRouting: await clusters.noisyTest(),
    trainRouting: await clusters.noisyTrain(),
  }
}
