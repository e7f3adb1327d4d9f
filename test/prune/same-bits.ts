import * as tf from '@tensorflow/tfjs'
import { expect } from 'vitest'
import { expectAllClose } from '../all-close.js'

/**
 * Asserts that two tensors hold the same numbers: bit for bit, but to rounding on native TensorFlow, whose order of summation
 * depends on how many columns a matrix has.
 */
export function expectSameBits(actual: tf.Tensor, expected: tf.Tensor): void {
  if (tf.getBackend() === 'tensorflow') expectAllClose(actual.dataSync(), expected.dataSync(), 1e-5, 1e-5)
  else expect([...actual.dataSync()]).toEqual([...expected.dataSync()])
}
