import * as tf from '@tensorflow/tfjs-core'
import { modelCost } from '../../src/models/cost.js'
import { twoLayerPatchModel } from '../../src/models/two-layer.js'
import { median } from '../../src/statistics/descriptive.js'
import type { Cell } from './cell.js'
import type { Measured } from './cell-result.js'
import type { CostGrid } from './grids/cost-grid.js'

/** The sizes of one model whose cost is measured. */
interface Sizes {
  readonly l: number
  readonly k: number
  readonly n: number
}

/**
 * Measures a forward and backward pass of the two-layer model of a cell, in turn with that of the base and with the CNN
 * of the same size that sees every patch. Each runs once untimed before it is timed, because what a large pass leaves
 * in the caches slows the next one down.
 *
 * @param signal ends the measurement between two passes, with its reason as the error
 */
export async function measureCell(grid: CostGrid, cell: Cell, signal: AbortSignal): Promise<Measured> {
  const sizes = { ...grid.base, ...(cell.cost && { [cell.cost.letter]: cell.cost.value }) }
  const passes = [
    costPass(grid, sizes, cell.seed),
    costPass(grid, grid.base, cell.seed),
    costPass(grid, { l: sizes.n, k: 1, n: sizes.n }, cell.seed),
  ]
  try {
    const seconds = passes.map((): number[] => [])
    // The first round compiles and does not count.
    for (let round = -1; round < grid.rounds; round++) {
      for (const [i, pass] of passes.entries()) {
        signal.throwIfAborted()
        await pass.run()
        const start = performance.now()
        await pass.run()
        if (round >= 0) seconds[i]!.push((performance.now() - start) / 1000)
        await new Promise(resolve => setImmediate(resolve))
      }
    }
    const [own = Number.NaN, base = Number.NaN, cnn = Number.NaN] = seconds.map(median)
    const [ownAdds = Number.NaN, baseAdds = Number.NaN] = passes.map(({ multiplyAdds }) => multiplyAdds)
    return {
      seconds: own,
      ratio: own / base,
      cnnRatio: cnn / base,
      multiplyAdds: ownAdds,
      multiplyAddsRatio: ownAdds / baseAdds,
    }
  } finally {
    for (const pass of passes) pass.dispose()
  }
}

interface CostPass {
  readonly multiplyAdds: number
  run(): Promise<void>
  dispose(): void
}

/** A model, a batch, and one forward and backward pass over it. */
function costPass({ batch, patchSide, hiddenUnits }: CostGrid, { l, k, n }: Sizes, seed: number): CostPass {
  const [rows, columns] = nearlySquare(n)
  const shape = [rows * patchSide, columns * patchSide, 1] as const
  const isCnn = k === 1 && l === n
  const model = twoLayerPatchModel({
    inputShape: shape,
    patchSize: patchSide,
    numExperts: k,
    patchesPerExpert: l,
    hiddenUnits,
    gate: isCnn ? 'uniform' : 'softmax-selected',
    normalizer: 'selected',
    numClasses: 1,
    seed,
  })
  const images = tf.randomNormal([batch, ...shape], 0, 1, 'float32', seed) as tf.Tensor4D
  // tfjs types layers' variables as their own class; each holds a tf.Variable.
  const variables = model.trainableWeights.map(weight => (weight as unknown as { val: tf.Variable }).val)
  return {
    multiplyAdds: batch * modelCost(model).multiplyAdds.training,
    async run() {
      const { value, grads } = tf.variableGrads(
        () => tf.mean(tf.square(model.apply(images, { training: true }) as tf.Tensor)),
        variables,
      )
      // The pass has ended only when its gradients can be read.
      await Promise.all([value, ...Object.values(grads)].map(tensor => tensor.data()))
      tf.dispose([value, grads])
    },
    dispose() {
      model.dispose()
      images.dispose()
    },
  }
}

/** The rows and columns of a grid of so many patches, as square as can be. */
export function nearlySquare(count: number): [rows: number, columns: number] {
  let rows = Math.floor(Math.sqrt(count))
  while (count % rows !== 0) rows--
  return [rows, count / rows]
}
