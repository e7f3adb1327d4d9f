import * as tf from '@tensorflow/tfjs-core'
import { loadNative, type NativeCandidate } from './native.js'

/** What the process of a trial prints, on a line of its own: the words of the error where it fails. */
export type TrialReport = TrialResult | { readonly failure: string }

/** What an installation computed. */
export interface TrialResult {
  /** Version of the TensorFlow library. */
  readonly version: string
  readonly usesGpu: boolean
  /** Product of [[1, 2], [3, 4]] and [[5, 6], [7, 8]]: cuBLAS, on a GPU. */
  readonly product: readonly number[]
  /** A 3x3 map of ones, convolved with a 2x2 kernel of ones: cuDNN, on a GPU. */
  readonly convolution: readonly number[]
}

async function compute(candidate: NativeCandidate): Promise<TrialResult> {
  const { version, usesGpu } = loadNative(candidate)
  await tf.setBackend('tensorflow')
  const product = tf.matMul(tf.tensor2d([1, 2, 3, 4], [2, 2]), tf.tensor2d([5, 6, 7, 8], [2, 2]))
  const map: tf.Tensor4D = tf.ones([1, 3, 3, 1])
  const kernel: tf.Tensor4D = tf.ones([2, 2, 1, 1])
  const convolution = tf.conv2d(map, kernel, 1, 'valid')
  return {
    version,
    usesGpu,
    product: [...(await product.data())],
    convolution: [...(await convolution.data())],
  }
}

// The process that `tryNative` starts; its argument is a NativeCandidate as JSON.
const report: TrialReport = await compute(JSON.parse(process.argv[2] ?? '')).catch((error: Error) => ({
  failure: error.message,
}))
console.log(`\n${JSON.stringify({ report })}`)
