import * as tf from '@tensorflow/tfjs'
import { beforeAll, expect, it } from 'vitest'
import { restoreTensor, storeTensor } from '../../src/train/stored-tensors.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(() => useTestBackend())

it('carries every bit of float32 and int32 there and back', async () => {
  const floats = Float32Array.of(1e-45, -0, 1 / 3, 3.4e38)
  const integers = Int32Array.of(-(2 ** 31), 0, 2 ** 31 - 1)
  for (const tensor of [tf.tensor(floats, [2, 2]), tf.tensor(integers, [3], 'int32')]) {
    const stored = await storeTensor(tensor)
    const back = restoreTensor(stored)
    expect(back.shape).toEqual(tensor.shape)
    expect(back.dtype).toBe(tensor.dtype)
    expect(new Uint8Array((await back.data()).slice().buffer)).toEqual(
      new Uint8Array((tensor.dtype === 'int32' ? integers : floats).buffer),
    )
  }
})

it('does not follow the tensor it came from, nor the other way', async () => {
  const variable = tf.variable(tf.tensor1d([1, 2]))
  const stored = await storeTensor(variable)
  const copy = restoreTensor(stored)
  variable.assign(tf.tensor1d([3, 4]))
  expect([...stored.data]).toEqual([1, 2])
  stored.data.fill(9 as never)
  expect([...copy.dataSync()]).toEqual([1, 2])
})

it('refuses other dtypes', async () => {
  await expect(storeTensor(tf.tensor1d([true]))).rejects.toThrow(
    'storeTensor: dtype must be float32 or int32, got bool',
  )
  expect(() => restoreTensor({ dtype: 'U8', shape: [1], data: new Uint8Array(1) })).toThrow(
    'restoreTensor: dtype must be F32 or I32, got U8',
  )
})
