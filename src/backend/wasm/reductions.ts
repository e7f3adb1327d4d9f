import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm'
import * as tf from '@tensorflow/tfjs-core'
import { columnReduction, type ReductionAttrs } from '../corrections/column-reduction.js'
import { wrapKernel } from '../corrections/wrapped-kernel.js'

/**
 * Replaces the backend `wasm`'s sum and mean over leading or middle axes, as in the gradient of a bias and in BatchNorm,
 * by one average pool over all rows. The originals transpose the whole tensor first, 25 to 150 times slower at the sizes
 * of a wide residual network. Other reductions stay as they are.
 */
export function registerWasmReductions(): void {
  for (const kernelName of [tf.Sum, tf.Mean]) {
    wrapKernel('wasm', kernelName, original => params => {
      const { inputs, attrs } = params
      const x = inputs.x as tf.Tensor
      const columns = x.dtype === 'float32' && columnReduction(x.shape, attrs as unknown as ReductionAttrs)
      if (!columns) return original(params)
      const { before, reduced, after, shape } = columns
      const result = tf.tidy(() => {
        const rows: tf.Tensor4D = tf.reshape(x, [before, reduced, 1, after])
        const mean = tf.reshape(tf.avgPool(rows, [reduced, 1], 1, 'valid'), shape)
        return kernelName === tf.Sum ? tf.mul(mean, reduced) : mean
      })
      // The average pool turns NaN into -Infinity.
      const backend = params.backend as BackendWasm
      if (!backend.typedArrayFromHeap(result).includes(Number.NEGATIVE_INFINITY)) return result
      result.dispose()
      return original(params)
    })
  }
}
