import type { BackendChoice } from '../../../src/backend/choose.js'
import { disposeModel } from '../../../src/models/dispose-model.js'
import type { RunConfig } from '../../../src/run/run-config.js'
import { type EpochMetrics, train } from '../../../src/train/loop.js'
import type { BoundExperiment } from '../../experiments/experiment.js'
import { type MarginLosses, measureBound } from '../../run/measured-bound.js'
import { buildNetwork } from '../../run/network.js'
import { newWholeRun } from '../../run/new-run.js'
import { optimizerOf, trainOptions } from '../../run/training-run.js'
import type { Cell } from '../cell.js'
import type { Bounded } from '../cell-result.js'
import type { BoundGrid } from '../grids/bound-grid.js'

/** What a cell is run with. */
export interface BoundWork {
  readonly experiment: Pick<BoundExperiment, 'dataset' | 'model'>
  readonly backend: BackendChoice
  /** Ends the cell, with the signal's reason as the error. */
  readonly signal: AbortSignal
  /** Stores the configuration of the cell before it is trained. */
  keepConfig(run: RunConfig): Promise<void>
}

/**
 * Trains the mixture of a cell and evaluates its bound beside its losses.
 *
 * @throws UsageError, RangeError or Error as `newWholeRun` and `measureBound`; DivergenceError when the loss or a weight is no
 *   longer finite; the reason of the signal when it was aborted
 */
export async function boundOfCell(
  grid: BoundGrid,
  cell: Cell,
  { experiment: { dataset, model: name }, backend, signal, keepConfig }: BoundWork,
): Promise<Bounded> {
  const { config, data } = await newWholeRun({ dataset, model: name, flags: flagsOf(grid, cell) }, backend)
  await keepConfig(config)
  const model = buildNetwork(config.model.options, data.train, config.seed)
  try {
    const options = { train: data.train, ...trainOptions(config), optimizer: optimizerOf(config), signal }
    const history: EpochMetrics[] = []
    for await (const event of train(model, options)) if (event.type === 'epoch') history.push(event)
    signal.throwIfAborted()
    const { delta, margin } = grid
    const measured = await measureBound(model, data, { delta, margin, signal })
    return { ...boundedBy(measured), ...trainedOf(history) }
  } finally {
    disposeModel(model)
  }
}

function flagsOf({ flags, testSamples }: BoundGrid, { samples, sparse, seed }: Cell) {
  return {
    ...flags,
    samples,
    testSamples,
    // One step an epoch, of all samples.
    batchSize: samples,
    experts: sparse?.experts,
    expertsPerSample: sparse?.active,
    seed,
  }
}

function boundedBy({ train: onTrain, test, mixtures }: Awaited<ReturnType<typeof measureBound>>) {
  const [judged] = mixtures
  if (!judged) throw new Error('study: the model must have a mixture, got none')
  const { expertTerm, routerTerm, exactRouterTerm, sparsity } = judged.bound
  const lossesOf = ({ ramp, zeroOne }: MarginLosses) => ({ ramp, zeroOne })
  return {
    train: lossesOf(onTrain),
    test: lossesOf(test),
    expertTerm,
    routerTerm,
    exactRouterTerm,
    sparsity,
    spectralNorm: Math.max(...judged.mixture.norms.map(({ spectralNorm }) => spectralNorm)),
    slope: judged.statistics.slope,
  }
}

function trainedOf(history: readonly EpochMetrics[]) {
  const last = history.at(-1)
  if (!last) throw new Error('study: training must have an epoch, got none')
  return {
    steps: last.steps,
    trainLoss: last.trainLoss,
    seconds: history.reduce((sum, { seconds }) => sum + seconds, 0),
  }
}
