import type * as tf from '@tensorflow/tfjs-core'
import { columnReduction, type ReductionAttrs } from '../corrections/column-reduction.js'
import { columnSums } from './column-sums.js'
import { deviceLimits } from './device-program.js'

/**
 * Sums and means over leading or middle axes without a transposition of the whole tensor before them, which the original does; in a
 * fixed order. Other reductions stay as they are.
 *
 * @param kind of the kernel that `original` is
 */
export function byColumns(original: tf.KernelFunc, kind: 'sum' | 'mean'): tf.KernelFunc {
  return params => {
    const x = params.inputs.x as tf.TensorInfo
    const columns =
      x.dtype === 'float32' && columnReduction(x.shape, params.attrs as unknown as ReductionAttrs)
    if (!columns || columns.before > deviceLimits().maxComputeWorkgroupsPerDimension) return original(params)
    const { before, reduced, after, shape } = columns
    const [sums] = columnSums({
      name: 'ColumnSumsOfRows',
      groups: before,
      rows: reduced,
      columns: after,
      shape,
      read: [{ name: 'x', tensor: x }],
      summands: ['xAt(index)'],
      scale: kind === 'mean' ? 1 / reduced : 1,
    })
    return sums as tf.TensorInfo
  }
}
