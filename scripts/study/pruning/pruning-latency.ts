import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { disposeModel } from '../../../src/models/dispose-model.js'
import { pruneExperts } from '../../../src/prune/index.js'
import { median } from '../../../src/statistics/descriptive.js'
import type { PhotographPruning } from '../../experiments/pruning-scale.js'
import type { Pruned } from '../cell-result.js'
import { photographNetwork } from './networks.js'
import { type PhotographRun, photographTasks } from './tasks.js'

const batches = [1, 64] as const

/**
 * Measures a forward pass of the network with every number of experts, each pruned from the largest one, taking turns:
 * the medians share what else the machine does. Weights are as they start, which does not change the time.
 *
 * @param rounds timed passes of each, at least 1
 */
export async function measureLatencies(
  sizes: PhotographPruning,
  rounds: number,
  { data, seed, signal }: PhotographRun,
): Promise<NonNullable<Pruned['latencies']>> {
  const { second } = await photographTasks(sizes, { data, seed })
  const { shape, classNames } = second.train
  const whole = photographNetwork(sizes, shape, { numClasses: classNames.length, seed })
  const models: tfl.LayersModel[] = []
  const inputs = batches.map(batch => tf.randomUniform([batch, ...shape], 0, 1, 'float32', seed))
  try {
    for (const keep of sizes.kept) {
      models.push((await pruneExperts(whole, { criterion: 'router-magnitude', keep })).model)
    }
    const cases = inputs.flatMap((input, i) =>
      models.map((model, j) => ({
        input,
        model,
        batch: batches[i]!,
        keep: sizes.kept[j]!,
        times: [] as number[],
      })),
    )
    // The first round compiles and does not count.
    for (let round = -1; round < rounds; round++) {
      for (const { input, model, times } of cases) {
        signal.throwIfAborted()
        const milliseconds = await timeOf(model, input)
        if (round >= 0) times.push(milliseconds)
      }
      await new Promise(resolve => setImmediate(resolve))
    }
    return cases.map(({ batch, keep, times }) => ({ keep, batch, milliseconds: median(times) }))
  } finally {
    tf.dispose(inputs)
    for (const model of [whole, ...models]) disposeModel(model)
  }
}

async function timeOf(model: tfl.LayersModel, input: tf.Tensor): Promise<number> {
  const start = performance.now()
  const output = model.predict(input) as tf.Tensor
  await output.data()
  const milliseconds = performance.now() - start
  output.dispose()
  return milliseconds
}
