import * as tf from '@tensorflow/tfjs'
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { asProducts, kernelGradient } from '../../../src/backend/tensorflow/kernel-gradient.js'
import { setPrecision } from '../../../src/backend/tensorflow/precision.js'
import { composedOps, type KernelGradientInputs, layerOps } from '../../../src/layers/ops.js'
import { expectAllClose } from '../../all-close.js'
import { drawTensor, holds } from '../../layers/random-tensors.js'
import { inScopesOfFloat32 } from '../precision-frame.js'

inScopesOfFloat32()

function inputsOf(
  map: readonly [number, number, number, number],
  kernel: readonly [number, number],
  filters: number,
  stride: number,
  pad: 'same' | 'valid',
): KernelGradientInputs {
  const info = tf.backend_util.computeConv2DInfo([...map], [...kernel, map[3], filters], stride, 1, pad)
  return {
    x: drawTensor<tf.Tensor4D>(map, 1),
    dy: drawTensor<tf.Tensor4D>(info.outShape, 2),
    kernelShape: [...kernel, map[3], filters],
    strides: [stride, stride],
    pad,
  }
}

/** The operations that TensorFlow runs within. */
function operationsOf(compute: () => unknown): string[] {
  const run = vi.spyOn(
    tf.backend() as unknown as { executeSingleOutput: (name: string) => unknown },
    'executeSingleOutput',
  )
  compute()
  const names = run.mock.calls.map(([name]) => name)
  run.mockRestore()
  return names
}

describe('kernelGradient', () => {
  it('weighs the pixels under a tap by the derivatives of the outputs', () => {
    // 1 2 3 4   Stride 2, 'same': outputs at rows and columns 0 and 2, the kernel 2x2 under each.
    // 5 6 7 8   dy 1, 10, 100, 1000: tap (0,0) sees 1, 3, 9, 11 -> 1 + 30 + 900 + 11000 = 11931;
    // 9 ...     tap (0,1) 2, 4, 10, 12 -> 13042; tap (1,0) 5, 7, 13, 15 -> 16375; tap (1,1) 6, 8, 14, 16 -> 17486
    const x = tf.tensor4d(
      Array.from({ length: 16 }, (_, i) => i + 1),
      [1, 4, 4, 1],
    )
    const dy = tf.tensor4d([1, 10, 100, 1000], [1, 2, 2, 1])
    const gradient = kernelGradient({ x, dy, kernelShape: [2, 2, 1, 1], strides: [2, 2], pad: 'same' })
    expect(gradient.shape).toEqual([2, 2, 1, 1])
    expectAllClose(gradient.dataSync(), [11931, 13042, 16375, 17486])
  })

  it('equals the composed one for any map, kernel, stride and padding, also as products', () => {
    const sizes = fc.record({
      map: fc.tuple(fc.integer({ min: 1, max: 3 }), side(5, 9), side(5, 9), fc.integer({ min: 1, max: 4 })),
      kernel: fc.tuple(side(1, 5), side(1, 5)),
      filters: fc.integer({ min: 1, max: 4 }),
      stride: side(1, 3),
      pad: fc.constantFrom('same' as const, 'valid' as const),
    })
    holds(sizes, ({ map, kernel, filters, stride, pad }) => {
      const inputs = inputsOf(map, kernel, filters, stride, pad)
      const expected = composedOps.kernelGradient(inputs)
      for (const actual of [kernelGradient(inputs), asProducts(inputs)]) {
        expect(actual.shape).toEqual(expected.shape)
        expectAllClose(actual.dataSync(), expected.dataSync(), 1e-3, 1e-3)
      }
    })
  })

  it('sums over parts of a large batch', () => {
    // 3 x 32 x 32 outputs with 9 x 512 numbers under each are two parts, of one and of two images.
    const inputs = inputsOf([3, 64, 64, 512], [3, 3], 2, 2, 'same')
    expectAllClose(asProducts(inputs).dataSync(), composedOps.kernelGradient(inputs).dataSync(), 1e-3, 2e-2)
    const products = operationsOf(() => asProducts(inputs)).filter(name => name === 'BatchMatMulV2')
    expect(products).toHaveLength(2)
  })

  it('is a product where strides skip pixels of many channels and for 1x1 kernels, else an operation of TensorFlow', () => {
    expect(layerOps().kernelGradient).toBe(kernelGradient)
    const ran = (kernel: number, stride: number, channels = 3, filters = 2) => {
      const inputs = inputsOf([2, 8, 8, channels], [kernel, kernel], filters, stride, 'same')
      return operationsOf(() => kernelGradient(inputs)).filter(name => /MatMul|Conv2D/.test(name))
    }
    expect(ran(3, 2)).toEqual(['Conv2DBackpropFilter'])
    expect(ran(3, 2, 256, 127)).toEqual(['Conv2DBackpropFilter'])
    expect(ran(3, 2, 256, 128)).toEqual(['BatchMatMulV2'])
    expect(ran(1, 1)).toEqual(['BatchMatMulV2'])
    expect(ran(3, 1)).toEqual(['Conv2DBackpropFilter'])
    expect(ran(1, 2)).toEqual(['BatchMatMulV2'])
  })

  it('is a product in bf16 where channels outnumber pixels, close to float32', () => {
    // 2 x 4 x 4 = 32 outputs, 9 x 16 = 144 numbers under a kernel
    const inputs = inputsOf([2, 4, 4, 16], [3, 3], 5, 1, 'same')
    const exact = composedOps.kernelGradient(inputs).dataSync()
    const scale = Math.max(...exact.map(Math.abs))
    setPrecision('bf16')
    let rounded = new Float32Array()
    expect(
      operationsOf(() => {
        rounded = kernelGradient(inputs).dataSync<'float32'>() as Float32Array<ArrayBuffer>
      }),
    ).toContain('BatchMatMulV2')
    expectAllClose(rounded, exact, 0, 0.02 * scale)
  })

  it('leaks nothing', () => {
    const inputs = inputsOf([2, 8, 8, 3], [3, 3], 2, 2, 'same')
    const before = tf.memory().numTensors
    kernelGradient(inputs).dispose()
    expect(tf.memory().numTensors).toBe(before)
  })
})

function side(min: number, max: number): fc.Arbitrary<number> {
  return fc.integer({ min, max })
}
