import type { BackendChoice } from '../../../src/backend/choose.js'
import { modelCost } from '../../../src/models/cost.js'
import { disposeModel } from '../../../src/models/dispose-model.js'
import { median } from '../../../src/statistics/descriptive.js'
import { networkOf } from '../../../src/train/feed.js'
import { type TrainEvent, train } from '../../../src/train/loop.js'
import { optimizerOf, trainOptions } from '../../run/training-run.js'
import type { Cell } from '../cell.js'
import type { LargeImageTimes } from '../cell-result.js'
import type { MegapixelGrid } from '../grids/large-images-grid.js'
import { type ReadingNetwork, readingNetwork, taskRun } from './task-run.js'

/** Steps before those that are timed. */
const untimed = 1

/**
 * Times training steps of every network on images of one size, in turn, so that what else the machine does hits all alike. Each
 * step includes drawing its images.
 *
 * @param grid with sizes to be timed
 * @throws UsageError, RangeError or Error as `newRun`; the reason of the signal when it was aborted
 */
export async function timeSteps(
  grid: MegapixelGrid,
  cell: Cell,
  { backend, signal }: { readonly backend: BackendChoice; readonly signal: AbortSignal },
): Promise<LargeImageTimes> {
  const { cost, variants } = grid
  if (!cost) throw new RangeError(`study: grid must have sizes to be timed, got none (cell ${cell.index})`)
  const { dataset, batch, rounds } = cost
  const [side] = (cell.setting ?? '').split('x')
  const task = {
    name: cell.setting ?? '',
    dataset,
    flags: { imageSize: [Number(side), Number(side)] },
    samples: [batch],
    testSamples: 1,
  }
  const epochs = untimed + rounds
  const timed = { ...grid, tasks: [task], batchSize: batch, steps: epochs }
  const networks: { variant: string; network: ReadingNetwork; events: AsyncGenerator<TrainEvent> }[] = []
  try {
    for (const { name: variant, reads } of variants) {
      const run = await taskRun(timed, { ...cell, variant, samples: batch }, backend)
      const network = readingNetwork(run, reads)
      const options = { ...trainOptions(run.config), optimizer: optimizerOf(run.config), signal }
      const events =
        network.reads === 'patches'
          ? train(network.model, { ...options, train: network.train })
          : train(network.model, { ...options, train: network.train })
      networks.push({ variant, network, events })
    }
    const seconds = networks.map((): number[] => [])
    for (let round = 0; round < epochs; round++) {
      for (const [i, { events }] of networks.entries()) {
        const took = await nextEpoch(events)
        signal.throwIfAborted()
        if (round >= untimed) seconds[i]?.push(took)
      }
    }
    return networks.map(({ variant, network }, i) => ({
      variant,
      multiplyAdds: modelCost(networkOf(network.model)).multiplyAdds.forward,
      milliseconds: (1000 * median(seconds[i] ?? [])) / batch,
    }))
  } finally {
    for (const { events, network } of networks) {
      await events.return(undefined)
      disposeModel(networkOf(network.model))
    }
  }
}

/** Goes on to the end of an epoch of one step: the seconds that it took. */
async function nextEpoch(events: AsyncGenerator<TrainEvent>): Promise<number> {
  for (;;) {
    const { value, done } = await events.next()
    if (done) return 0
    if (value.type === 'epoch') return value.seconds
  }
}
