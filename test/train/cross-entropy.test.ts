import * as tf from '@tensorflow/tfjs'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  crossEntropy,
  crossEntropyOfProbabilities,
  floorOfProbabilities,
} from '../../src/train/cross-entropy.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(() => useTestBackend())

type Loss = (labels: tf.Tensor2D, logits: tf.Tensor2D) => tf.Scalar

/** A mean over samples and its derivative by the logits, from the derivative of one sample. */
function computed(loss: Loss, logits: number[][], labels: number[]): { value: number; gradient: number[] } {
  return tf.tidy(() => {
    const classes = logits[0]?.length ?? 0
    const hot = tf.cast(tf.oneHot(tf.tensor1d(labels, 'int32'), classes), 'float32') as tf.Tensor2D
    const { value, grad } = tf.valueAndGrad((z: tf.Tensor) => loss(hot, z as tf.Tensor2D))(
      tf.tensor2d(logits),
    )
    return { value: value.dataSync()[0] ?? Number.NaN, gradient: [...grad.dataSync()] }
  })
}

const softmax = (z: number[]): number[] => {
  const sum = z.reduce((total, each) => total + Math.exp(each), 0)
  return z.map(each => Math.exp(each) / sum)
}

/** In double precision; the losses of single samples. */
const single = {
  plain: (z: number[], label: number) => -Math.log(softmax(z)[label] ?? 0),
  ofProbabilities: (z: number[], label: number) => -Math.log(softmax(softmax(z))[label] ?? 0),
}

const cases = fc.integer({ min: 2, max: 5 }).chain(classes =>
  fc.array(
    fc.record({
      z: fc.array(fc.double({ min: -4, max: 4, noNaN: true }), { minLength: classes, maxLength: classes }),
      label: fc.integer({ min: 0, max: classes - 1 }),
    }),
    { minLength: 1, maxLength: 4 },
  ),
)

describe.each([
  ['crossEntropy', crossEntropy, single.plain],
  ['crossEntropyOfProbabilities', crossEntropyOfProbabilities, single.ofProbabilities],
] as const)('%s', (_, loss, one) => {
  it('is the mean of its definition, and has its slope', () => {
    fc.assert(
      fc.property(cases, samples => {
        const { value, gradient } = computed(
          loss,
          samples.map(({ z }) => z),
          samples.map(({ label }) => label),
        )
        const mean = samples.reduce((sum, { z, label }) => sum + one(z, label), 0) / samples.length
        expect(value).toBeCloseTo(mean, 4)
        const slopes = samples.flatMap(({ z, label }) =>
          z.map((_, j) => {
            const moved = (by: number) => one(z.with(j, (z[j] ?? 0) + by), label)
            return (moved(1e-5) - moved(-1e-5)) / 2e-5 / samples.length
          }),
        )
        expectAllClose(gradient, slopes, 1e-3, 1e-5)
      }),
      { numRuns: 25 },
    )
  })

  it('keeps the slope exact where a sample is nearly certain', () => {
    // The other probability is e^-12 = 6e-6: float32 knows 1 - 6e-6 to 1 %.
    const other = Math.exp(-12) / (1 + Math.exp(-12))
    const slope = one === single.plain ? other : other * (1 - other) * (1 - Math.tanh((1 - 2 * other) / 2))
    const { gradient } = computed(loss, [[12, 0]], [0])
    expectAllClose(gradient, [-slope, slope], 1e-4, 0)
  })

  it('stays finite for logits of any size', () => {
    for (const label of [0, 1]) {
      const { value, gradient } = computed(loss, [[1e4, -1e4]], [label])
      expect([value, ...gradient].every(Number.isFinite)).toBe(true)
    }
  })
})

it('has the floor that published code stops at: 0.3133 for two classes', () => {
  expect(floorOfProbabilities(2)).toBeCloseTo(0.3133, 4)
  for (const classes of [2, 3, 10]) {
    const logits = [Array.from({ length: classes }, (_, i) => (i === 1 ? 200 : 0))]
    expect(computed(crossEntropyOfProbabilities, logits, [1]).value).toBeCloseTo(
      floorOfProbabilities(classes),
      5,
    )
  }
})
