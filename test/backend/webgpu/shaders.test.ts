import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, test } from 'vitest'
import { useBackend } from '../../../src/backend/choose.js'
import { registerWebGpuKernels } from '../../../src/backend/webgpu/kernels.js'
import { wideResNet } from '../../../src/models/wide-resnet.js'
import { train } from '../../../src/train/loop.js'
import { answersOf, brightQuarters, otherCases, patchMoECases } from './layer-cases.js'

/*
 * Dawn's null device compiles every shader and checks every command as a card's driver would, and computes nothing: zeros are read. So
 * this shows in seconds, on any machine, that nothing is refused; whether numbers are right, numerics.test.ts shows.
 */
beforeAll(async () => {
  await useBackend('webgpu', { webgpu: ['backend=null'] })
})

describe('WebGPU accepts every shader', () => {
  test.each([...patchMoECases, ...otherCases])('of $name', async one => {
    expect((await answersOf(one)).length).toBeGreaterThan(2)
  })

  test('of a training of a wide residual network with a mixture', async () => {
    const model = wideResNet({
      depth: 10,
      widenFactor: 1,
      numClasses: 4,
      inputShape: [16, 16, 3],
      pmoe: { numExperts: 4, patchesPerExpert: 2, patchSize: 1 },
    })
    const images = brightQuarters(8, [16, 16, 3])
    const optimizer = { name: 'momentum', learningRate: 0.1 } as const
    const types: string[] = []
    const options = { train: images, test: images, epochs: 1, batchSize: 4, seed: 1, optimizer }
    for await (const { type } of train(model, options)) types.push(type)
    expect(types.filter(type => type === 'step')).toHaveLength(2)
    expect(types.at(-1)).toBe('end')
  })

  test('of whole numbers transposed, and of padding and repetition of five axes', async () => {
    const x = tf.add(tf.zeros([2, 3, 4, 5, 2], 'int32'), tf.scalar(1, 'int32'))
    const turned = tf.transpose(x, [4, 0, 3, 1, 2])
    const margins: [number, number][] = [
      [0, 0],
      [1, 0],
      [2, 2],
      [0, 0],
      [1, 1],
    ]
    const [padded, repeated] = [tf.pad(x, margins), tf.tile(x, [1, 2, 1, 1, 3])]
    expect([turned.shape, padded.shape, repeated.shape]).toEqual([
      [2, 2, 5, 3, 4],
      [2, 4, 8, 5, 4],
      [2, 6, 4, 5, 6],
    ])
    for (const one of [turned, padded, repeated]) expect(await one.data()).toHaveLength(one.size)
  })
})

test('registerWebGpuKernels needs the backend, and changes nothing when it is called again', async () => {
  registerWebGpuKernels()
  const kernel = tf.getKernel('Transpose', 'webgpu')
  registerWebGpuKernels()
  expect(tf.getKernel('Transpose', 'webgpu')).toBe(kernel)
  await useBackend('cpu')
  expect(() => registerWebGpuKernels()).toThrow(
    "registerWebGpuKernels: the current backend must be webgpu, got cpu (first await tf.setBackend('webgpu'))",
  )
  await useBackend('webgpu')
})
