import * as tf from '@tensorflow/tfjs'
import fc from 'fast-check'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { useBackend } from '../../../src/backend/choose.js'
import { random } from '../../../src/random.js'

type Padding = 'same' | 'valid' | number | tf.backend_util.ExplicitPadding
type Shape4D = [number, number, number, number]

/** One depthwise convolution: x (batch, height, width, channels) with a filter (kh, kw, channels, multiplier). */
interface Depthwise {
  readonly x: Shape4D
  readonly kernel: readonly [number, number]
  readonly multiplier: number
  readonly strides: [number, number]
  readonly dilations: [number, number]
  readonly pad: Padding
}

beforeAll(() => useBackend('wasm'))
beforeEach(async () => {
  await tf.setBackend('wasm')
})

const side = fc.integer({ min: 1, max: 4 })
const margin = fc.integer({ min: 0, max: 6 })
const ones: [number, number] = [1, 1]
const shapes = fc.record<Depthwise>({
  x: fc.tuple(
    fc.integer({ min: 1, max: 3 }),
    fc.integer({ min: 1, max: 9 }),
    fc.integer({ min: 1, max: 9 }),
    fc.integer({ min: 1, max: 6 }),
  ),
  kernel: fc.tuple(side, side),
  multiplier: fc.integer({ min: 1, max: 3 }),
  strides: fc.tuple(side, side),
  dilations: fc.oneof(fc.constant(ones), fc.tuple(side, side)),
  pad: fc.oneof(
    fc.constantFrom<Padding>('same', 'valid'),
    fc.tuple(margin, margin, margin, margin).map(
      ([top, bottom, left, right]): Padding => [
        [0, 0],
        [top, bottom],
        [left, right],
        [0, 0],
      ],
    ),
  ),
})

describe('derivatives of a depthwise convolution on wasm', () => {
  test('worked by hand: a row of 3 pixels under a filter of 2, at stride 1', () => {
    // y = [1a + 2b, 2a + 3b] and dy = [10, 100]: da = 10 + 200, db = 20 + 300; dx = [10a, 10b + 100a, 100b] at a = 4, b = 5.
    const [dx, dw] = tf.grads((x, w) => tf.depthwiseConv2d(x as tf.Tensor4D, w as tf.Tensor4D, 1, 'valid'))(
      [tf.tensor4d([1, 2, 3], [1, 1, 3, 1]), tf.tensor4d([4, 5], [1, 2, 1, 1])],
      tf.tensor4d([10, 100], [1, 1, 2, 1]),
    ) as [tf.Tensor, tf.Tensor]
    expect([...dx.dataSync()]).toEqual([40, 450, 500])
    expect([...dw.dataSync()]).toEqual([210, 320])
  })

  test('are the sums of their definition at any stride, dilation, padding and multiplier', () => {
    fc.assert(
      fc.property(shapes, depthwise => {
        const drawn = draw(depthwise)
        fc.pre(drawn !== undefined)
        expectEqual(gradients(depthwise, drawn), bruteForce(depthwise, drawn), 1e-5)
      }),
      { numRuns: 250, seed: 7 },
    )
  })

  test('are those of the plain-JS backend, through the gradient of tf.depthwiseConv2d', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async any => {
        const depthwise = { ...any, dilations: ones }
        const drawn = draw(depthwise)
        fc.pre(drawn !== undefined)
        const results: Float32Array[][] = []
        for (const backend of ['wasm', 'cpu']) {
          await tf.setBackend(backend)
          results.push(taped(depthwise, drawn))
        }
        await tf.setBackend('wasm')
        expectEqual(results[0]!, results[1]!, 1e-5)
      }),
      { numRuns: 50, seed: 8 },
    )
  })

  test.each<[string, Depthwise]>([
    ['3x3 of a MobileNet', whole([2, 14, 14, 40], [3, 3], 1, 1, 'same')],
    ['3x3 with stride 2', whole([2, 15, 14, 33], [3, 3], 1, 2, 'same')],
    ['5x5 with stride 2', whole([2, 14, 14, 12], [5, 5], 1, 2, 'same')],
    ['7x7 of a ConvNeXt', whole([2, 12, 12, 24], [7, 7], 1, 1, 'same')],
    ['whole map, multiplier 2', whole([2, 22, 6, 8], [22, 1], 2, 1, 'valid')],
    ['padding as a number', whole([2, 9, 9, 5], [3, 3], 1, 2, 1)],
  ])('of a %s equal the sums', (_, depthwise) => {
    const drawn = draw(depthwise)!
    expectEqual(taped(depthwise, drawn), bruteForce(depthwise, drawn), 1e-5)
  })

  test('put NaN and infinity where the sums of their definition have them, and nowhere else', () => {
    const value = fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY)
    fc.assert(
      fc.property(
        shapes,
        fc.constantFrom('x', 'filter', 'dy'),
        fc.nat(),
        value,
        (depthwise, input, at, wrong) => {
          const drawn = draw(depthwise)
          fc.pre(drawn !== undefined)
          drawn[input][at % drawn[input].length] = wrong
          expectEqual(gradients(depthwise, drawn), bruteForce(depthwise, drawn), 1e-5)
        },
      ),
      { numRuns: 150, seed: 9 },
    )
  })

  test('leave no tensor behind, also where numbers are not finite', () => {
    const depthwise = whole([2, 6, 6, 3], [3, 3], 2, 2, 'same')
    const drawn = draw(depthwise)!
    const counts = () => [tf.memory().numTensors, tf.memory().numDataBuffers]
    const before = counts()
    taped(depthwise, drawn)
    expect(counts()).toEqual(before)
    drawn.dy[0] = Number.NaN
    taped(depthwise, drawn)
    expect(counts()).toEqual(before)
  })
})

function whole(
  x: Shape4D,
  kernel: [number, number],
  multiplier: number,
  stride: number,
  pad: Padding,
): Depthwise {
  return { x, kernel, multiplier, strides: [stride, stride], dilations: ones, pad }
}

type Drawn = Record<'x' | 'filter' | 'dy', Float32Array>

function infoOf({ x, kernel, multiplier, strides, dilations, pad }: Depthwise): tf.backend_util.Conv2DInfo {
  const filter: Shape4D = [...kernel, x[3], multiplier]
  return tf.backend_util.computeConv2DInfo(x, filter, strides, dilations, pad, undefined, true)
}

/** Numbers of a convolution; undefined where no output is left. */
function draw(depthwise: Depthwise): Drawn | undefined {
  const info = infoOf(depthwise)
  if (info.outHeight < 1 || info.outWidth < 1) return undefined
  const numbers = (name: string, shape: readonly number[]) =>
    Float32Array.from({ length: shape.reduce((a, b) => a * b) }, random(5, name).normal)
  const filter = [...depthwise.kernel, info.inChannels, depthwise.multiplier]
  return { x: numbers('x', depthwise.x), filter: numbers('filter', filter), dy: numbers('dy', info.outShape) }
}

function tensors(depthwise: Depthwise, drawn: Drawn): Record<keyof Drawn, tf.Tensor4D> {
  const { kernel, multiplier, x } = depthwise
  return {
    x: tf.tensor4d(drawn.x, x),
    filter: tf.tensor4d(drawn.filter, [...kernel, x[3], multiplier]),
    dy: tf.tensor4d(drawn.dy, infoOf(depthwise).outShape as Shape4D),
  }
}

/** Both derivatives, from the kernels themselves: by the input, by the filter. */
function gradients(depthwise: Depthwise, drawn: Drawn): Float32Array[] {
  return tf.tidy(() => {
    const { x, filter, dy } = tensors(depthwise, drawn)
    const { strides, dilations, pad } = depthwise
    const attrs = { strides, dilations, pad, inputShape: x.shape, filterShape: filter.shape }
    const kernel = (name: string, inputs: tf.NamedTensorMap) =>
      tf.engine().runKernel(name, inputs, attrs as unknown as tf.NamedAttrMap) as tf.Tensor
    return [
      kernel(tf.DepthwiseConv2dNativeBackpropInput, { dy, filter }),
      kernel(tf.DepthwiseConv2dNativeBackpropFilter, { x, dy }),
    ].map(gradient => Float32Array.from(gradient.dataSync()))
  })
}

/** Both derivatives, as training asks for them. */
function taped(depthwise: Depthwise, drawn: Drawn): Float32Array[] {
  return tf.tidy(() => {
    const { x, filter, dy } = tensors(depthwise, drawn)
    const { strides, pad } = depthwise
    const convolve = (a: tf.Tensor, b: tf.Tensor) =>
      tf.depthwiseConv2d(a as tf.Tensor4D, b as tf.Tensor4D, strides, pad)
    return tf
      .grads(convolve)([x, filter], dy)
      .map(gradient => Float32Array.from(gradient.dataSync()))
  })
}

/** Both derivatives, from their definition: each product of the convolution adds to one number of each. */
function bruteForce(depthwise: Depthwise, { x, filter, dy }: Drawn): Float64Array[] {
  const info = infoOf(depthwise)
  const [batch, height, width, channels] = depthwise.x
  const { kernel, multiplier, strides, dilations } = depthwise
  const [dx, dw] = [new Float64Array(x.length), new Float64Array(filter.length)]
  let output = 0
  for (let image = 0; image < batch; image++)
    for (let i = 0; i < info.outHeight; i++)
      for (let j = 0; j < info.outWidth; j++)
        for (let channel = 0; channel < channels; channel++)
          for (let m = 0; m < multiplier; m++, output++)
            for (let a = 0; a < kernel[0]; a++)
              for (let b = 0; b < kernel[1]; b++) {
                const row = i * strides[0] + a * dilations[0] - info.padInfo.top
                const column = j * strides[1] + b * dilations[1] - info.padInfo.left
                if (row < 0 || row >= height || column < 0 || column >= width) continue
                const pixel = ((image * height + row) * width + column) * channels + channel
                const weight = ((a * kernel[1] + b) * channels + channel) * multiplier + m
                dx[pixel]! += dy[output]! * filter[weight]!
                dw[weight]! += dy[output]! * x[pixel]!
              }
  return [dx, dw]
}

/** Asserts equal numbers, to a share of the largest finite one, and NaN and infinity at the same places. */
function expectEqual(
  actual: readonly Float32Array[],
  expected: readonly (Float32Array | Float64Array)[],
  share: number,
): void {
  for (const [i, reference] of expected.entries()) {
    const values = actual[i]!
    expect(values.length).toBe(reference.length)
    const scale = Math.max(1e-3, ...Array.from(reference, Math.abs).filter(Number.isFinite))
    const wrong = values.findIndex((value, at) => {
      const right = reference[at]!
      return Number.isFinite(right) ? !(Math.abs(value - right) <= share * scale) : !Object.is(value, right)
    })
    expect(wrong === -1 ? 'equal' : `${values[wrong]} at ${wrong} for ${reference[wrong]}`).toBe('equal')
  }
}
