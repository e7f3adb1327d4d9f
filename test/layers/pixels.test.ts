import * as tf from '@tensorflow/tfjs'
import { beforeAll, expect, it } from 'vitest'
import { isPixelTensor, pixelTensor } from '../../src/layers/pixels.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(async () => {
  await useTestBackend()
})

it('makes every byte its share of 255, to the last bit, and keeps nothing else', () => {
  const before = tf.memory().numTensors
  // A part of a larger array, not at its start.
  const bytes = Uint8Array.from({ length: 260 }, (_, i) => i).subarray(1, 259)
  const pixels = pixelTensor(bytes, [2, 43, 3])
  expect(pixels.shape).toEqual([2, 43, 3])
  expect(pixels.dtype).toBe('float32')
  expect([...pixels.dataSync()]).toEqual(Array.from(bytes, byte => Math.fround(byte / 255)))
  expect(tf.memory().numTensors).toBe(before + 1)
  expect(isPixelTensor(pixels)).toBe(true)
  expect(isPixelTensor(tf.tensor1d([Number.NaN]))).toBe(false)
})

it('takes no bytes for an empty batch', () => {
  expect(pixelTensor(new Uint8Array(), [0, 4, 4, 3]).shape).toEqual([0, 4, 4, 3])
})
