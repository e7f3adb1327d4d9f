import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, test } from 'vitest'
import { useBackend } from '../../../src/backend/choose.js'
import {
  asTensor,
  deviceLimits,
  flatSize,
  flatWorkgroups,
  newTensor,
  type ProgramBuffer,
  runProgram,
} from '../../../src/backend/webgpu/device-program.js'

// Dawn's null device: programs are compiled and checked, and nothing is computed.
beforeAll(async () => {
  await useBackend('webgpu', { webgpu: ['backend=null'] })
})

function double(x: tf.Tensor, given: Partial<Parameters<typeof runProgram>[0]> = {}): tf.Tensor {
  const y = newTensor(x.shape)
  runProgram({
    name: 'Double',
    written: [{ name: 'y', tensor: y }],
    read: [{ name: 'x', tensor: x }],
    uniforms: { size: { type: 'i32', value: x.size } },
    workgroupSize: flatSize,
    workgroups: flatWorkgroups(x.size),
    body: () => 'if (flatIndex < uniforms.size) { y[flatIndex] = 2.0 * f32(xAt(flatIndex)); }',
    ...given,
  })
  return asTensor(y)
}

describe('runProgram', () => {
  test('takes floats, whole numbers and whole numbers that were cast', async () => {
    const whole = tf.ones([2000], 'int32')
    for (const x of [tf.ones([2000]), whole, tf.cast(whole, 'float32'), tf.cast(whole, 'bool')]) {
      const y = double(x)
      expect([y.shape, y.dtype]).toEqual([[2000], 'float32'])
      // What the device refuses rejects the reading.
      await y.data()
    }
  })

  test('refuses more workgroups than the device has along an axis', () => {
    expect(() => double(tf.ones([3]), { workgroups: [1, 65536, 1] })).toThrow(
      new RangeError(
        'WebGPU: Double must have at most 65535 workgroups along each axis on this device, got 1 x 65536 x 1 (a smaller batch or image needs fewer)',
      ),
    )
  })

  test('refuses more buffers than the device gives one program', () => {
    const most = deviceLimits().maxStorageBuffersPerShaderStage
    const read = Array.from(
      { length: most },
      (_, i): ProgramBuffer => ({ name: `x${i}`, tensor: tf.ones([3]) }),
    )
    expect(() => double(tf.ones([3]), { read })).toThrow(
      new RangeError(`WebGPU: Double must have at most ${most} buffers on this device, got ${most + 1}`),
    )
  })
})

test('flatWorkgroups reach every number, in two axes where one is too short', () => {
  expect([1, 256, 257, 256 * 65535, 256 * 65535 + 1].map(flatWorkgroups)).toEqual([
    [1, 1, 1],
    [1, 1, 1],
    [2, 1, 1],
    [65535, 1, 1],
    [65535, 2, 1],
  ])
})
