import * as tf from '@tensorflow/tfjs'
import fc from 'fast-check'
import { random } from '../../src/random.js'

/** Numbers of N(0, 1), rounded to float32 so that float64 loops and tensors see the same ones. */
export function draw(count: number, seed: number): Float64Array {
  const numbers = random(seed, 'test')
  return Float64Array.from({ length: count }, () => Math.fround(numbers.normal()))
}

/** A tensor of N(0, 1). */
export function drawTensor<T extends tf.Tensor>(shape: readonly number[], seed: number): T {
  return tensorOf(draw(sizeOf(shape), seed), shape)
}

/** Float64 numbers as a float32 tensor. */
export function tensorOf<T extends tf.Tensor>(values: ArrayLike<number>, shape: readonly number[]): T {
  return tf.tensor(Float32Array.from(values), [...shape]) as T
}

/** <a, b>, summed in float64. */
export function innerProduct(a: tf.Tensor, b: tf.Tensor): number {
  const right = b.dataSync()
  return Array.from(a.dataSync()).reduce((sum, value, i) => sum + value * (right[i] as number), 0)
}

/** How many numbers a tensor of this shape holds. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1)
}

/** Runs a property in a scope of its own, so that its tensors are gone before the next run. */
export function holds<T>(arbitrary: fc.Arbitrary<T>, check: (value: T) => void, numRuns = 40): void {
  fc.assert(
    fc.property(arbitrary, value => {
      tf.tidy(() => check(value))
    }),
    { numRuns, seed: 1 },
  )
}

/** Maps of 1 to 4 by 1 to 4 patches, each of 1 to 3 by 1 to 3 pixels, and a batch with channels and experts. */
export const settings = fc.record({
  cells: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
  patch: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
  reach: fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 2 })),
  batch: fc.integer({ min: 1, max: 3 }),
  channels: fc.integer({ min: 1, max: 3 }),
  experts: fc.integer({ min: 1, max: 3 }),
  keep: fc.double({ min: 0, max: 1, noNaN: true }),
  seed: fc.integer({ min: 0, max: 2 ** 31 }),
})

/** L in [1, N], from a share in [0, 1]. */
export function keptOf(share: number, patches: number): number {
  return 1 + Math.round(share * (patches - 1))
}
