import * as tf from '@tensorflow/tfjs-core'

type Kernel = tf.KernelConfig['kernelFunc']

interface PoolAttributes {
  readonly filterSize?: number | [number, number]
  readonly strides: number | [number, number]
  readonly pad: 'valid' | 'same' | number
  readonly dimRoundingMode?: 'floor' | 'round' | 'ceil'
}

/**
 * The derivative of an average pool as that of a mean over the pixels of the map alone; tfjs's wasm and WebGPU backends count those
 * around it, too.
 */
export function averageOfPixels(original: Kernel): Kernel {
  return args => {
    const { filterSize = 1, strides, pad, dimRoundingMode } = args.attrs as unknown as PoolAttributes
    const x = args.inputs.input as tf.Tensor4D
    const info = tf.backend_util.computePool2DInfo(x.shape, filterSize, strides, 1, pad, dimRoundingMode)
    const { top, bottom, left, right } = info.padInfo
    if (top + bottom + left + right === 0) return original(args)
    const rows = shares(info.outHeight, info.strideHeight, top, info.effectiveFilterHeight, info.inHeight)
    const columns = shares(info.outWidth, info.strideWidth, left, info.effectiveFilterWidth, info.inWidth)
    return tf.tidy(() => {
      const scale = tf.outerProduct(tf.tensor1d(rows), tf.tensor1d(columns))
      const dy = tf.mul(args.inputs.dy as tf.Tensor, tf.reshape(scale, [1, rows.length, columns.length, 1]))
      return original({ ...args, inputs: { ...args.inputs, dy } }) as tf.Tensor
    })
  }
}

/** For each window along an axis, its length divided by how many of its pixels lie inside the map. */
function shares(outputs: number, stride: number, padding: number, filter: number, size: number): number[] {
  return Array.from({ length: outputs }, (_, output) => {
    const first = output * stride - padding
    return filter / (Math.min(size, first + filter) - Math.max(0, first))
  })
}
