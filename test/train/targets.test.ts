import * as tf from '@tensorflow/tfjs'
import * as fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import type { MixedLabels } from '../../src/data/image-set.js'
import { streamOf } from '../../src/data/image-stream.js'
import type { RegionStream } from '../../src/data/regions/region-stream.js'
import { type TrainOptions, train } from '../../src/train/loop.js'
import { lossOf } from '../../src/train/loss.js'
import {
  type BatchLabels,
  checkTargetOptions,
  floorWith,
  largestLabels,
  type TargetOptions,
  type TargetRule,
  targetRule,
  targetsOf,
} from '../../src/train/targets.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { allEvents, brightRows, denseModel, historyOf, weightsOf } from './tasks.js'

beforeAll(() => useTestBackend())

const plain: TargetRule = { numClasses: 3 }
const labels = Int32Array.from([0, 2])
const mixed: MixedLabels = { labels: Int32Array.from([1, 2]), shares: Float32Array.from([0.25, 0.5]) }

function rows(batch: BatchLabels, rule: TargetRule): number[][] {
  return tf.tidy(() => targetsOf(batch, rule).arraySync() as number[][])
}

describe('the targets of a batch', () => {
  it('are its labels, where these say it all', () => {
    const targets = targetsOf({ labels }, plain)
    expect([targets.dtype, targets.rank, [...targets.dataSync()]]).toEqual(['int32', 1, [0, 2]])
  })

  it('are shares of the classes, mixed first, then smoothed, then weighted', () => {
    expectAllClose(rows({ labels }, { ...plain, labelSmoothing: 0.3 }), [0.8, 0.1, 0.1, 0.1, 0.1, 0.8])
    expectAllClose(rows({ labels, mixed }, plain), [0.25, 0.75, 0, 0, 0, 1])
    const classWeights = [2, 1, 0.5]
    expectAllClose(rows({ labels }, { ...plain, classWeights }), [2, 0, 0, 0, 0, 0.5])
    const all = { ...plain, labelSmoothing: 0.3, classWeights }
    // 0.7 x (0.25, 0.75, 0) + 0.1 = (0.275, 0.625, 0.1)
    expectAllClose(rows({ labels, mixed }, all), [0.55, 0.625, 0.05, 0.2, 0.1, 0.4])
  })

  it('count as right the label that an image has most of', () => {
    expect([...largestLabels({ labels })]).toEqual([0, 2])
    const even = { ...mixed, labels: Int32Array.from([1, 0]) }
    expect([...largestLabels({ labels, mixed: even })]).toEqual([1, 2])
  })
})

/** A model that hands on its inputs. */
function identity(outputs: number): tf.Sequential {
  const model = tf.sequential()
  model.add(tf.layers.activation({ activation: 'linear', inputShape: [outputs] }))
  return model
}

const number = (min: number, max: number) => fc.double({ min, max, noNaN: true })

/** Logits and targets of two samples; the loss in double precision is that of `single`, mean over both. */
function lossAndGradient(
  outputs: number,
  z: number[][],
  targets: number[][],
  form?: 'cross-entropy-of-probabilities',
) {
  const classifier = lossOf(identity(outputs), form && { lossForm: form })
  return tf.tidy(() => {
    const { value, grad } = tf.valueAndGrad((x: tf.Tensor) =>
      classifier.loss(x as tf.Tensor2D, tf.tensor2d(targets)),
    )(tf.tensor2d(z))
    return { loss: value.dataSync()[0] as number, gradient: [...grad.dataSync()] }
  })
}

const softmax = (z: number[]): number[] => {
  const total = z.reduce((sum, each) => sum + Math.exp(each), 0)
  return z.map(each => Math.exp(each) / total)
}

const crossEntropyOf = (p: number[], t: number[]) =>
  t.reduce((sum, ti, i) => sum - ti * Math.log(p[i] as number), 0)

describe('the loss with such targets', () => {
  const forms = [
    ['softmax', 3, undefined, (z: number[], t: number[]) => crossEntropyOf(softmax(z), t)],
    [
      'softmax of probabilities',
      3,
      'cross-entropy-of-probabilities',
      (z: number[], t: number[]) => crossEntropyOf(softmax(softmax(z)), t),
    ],
    ['logistic', 1, undefined, ([z = 0]: number[], t: number[]) => crossEntropyOf(softmax([0, z]), t)],
  ] as const
  it.each(forms)('is their mean cross-entropy, differentiated rightly: %s', (_, outputs, form, single) => {
    const classes = Math.max(outputs, 2)
    const vector = (length: number, min: number, max: number) =>
      fc.array(number(min, max), { minLength: length, maxLength: length })
    const samples = fc.array(fc.record({ z: vector(outputs, -5, 5), t: vector(classes, 0.01, 2) }), {
      minLength: 2,
      maxLength: 2,
    })
    fc.assert(
      fc.property(samples, given => {
        const z = given.map(each => each.z)
        const t = given.map(each => each.t)
        const { loss, gradient } = lossAndGradient(outputs, z, t, form)
        const mean = (logits: number[][]) =>
          logits.reduce((sum, each, i) => sum + single([...each], t[i] as number[]), 0) / 2
        expectAllClose([loss], [mean(z)], 1e-4, 1e-5)
        const step = 1e-5
        const numeric = z.flatMap((row, i) =>
          row.map((_, j) => {
            const moved = (by: number) =>
              mean(z.map((each, k) => each.map((value, l) => (k === i && l === j ? value + by : value))))
            return (moved(step) - moved(-step)) / (2 * step)
          }),
        )
        expectAllClose(gradient, numeric, 1e-3, 1e-4)
      }),
      { numRuns: 30 },
    )
  })

  it('is that of the labels where the targets are these, to the last bit of the gradient', () => {
    const z = [
      [12, -3, -9],
      [0.5, 2, -1],
    ]
    const classifier = lossOf(identity(3))
    const gradient = (targets: tf.Tensor) =>
      tf.tidy(() => [
        ...tf
          .grad((x: tf.Tensor) => classifier.loss(x as tf.Tensor2D, targets))(tf.tensor2d(z))
          .dataSync(),
      ])
    const hot = tf.tensor2d([
      [1, 0, 0],
      [0, 1, 0],
    ])
    expectAllClose(gradient(hot), gradient(tf.tensor1d([0, 1], 'int32')), 1e-6, 1e-12)
    // The probability of class 0 rounds to 1 in the first sample; its derivative is still that of the others.
    expect(gradient(hot)[0]).toBeLessThan(0)
  })

  it('is finite where the logistic form is sure, rightly or wrongly', () => {
    const { loss, gradient } = lossAndGradient(
      1,
      [[200], [-200]],
      [
        [0.9, 0.1],
        [0.1, 0.9],
      ],
    )
    expectAllClose([loss], [180], 1e-4)
    expectAllClose(gradient, [0.45, -0.45])
  })
})

describe('class weights', () => {
  const uneven = { ...brightRows(8, 3, 1), labels: Int32Array.from([0, 0, 0, 0, 1, 1, 1, 2]) }

  it('balanced are images / (classes x images of the class), of sets and of streams', async () => {
    const rule = await targetRule({ classWeights: 'balanced' }, uneven)
    expectAllClose(rule.classWeights ?? [], [8 / 12, 8 / 9, 8 / 3])
    expect(await targetRule({ classWeights: 'balanced' }, streamOf(uneven))).toEqual(rule)
  })

  it('balanced open images that are read in parts, and close them again', async () => {
    let closed = 0
    const source = { close: async () => void closed++ }
    const stream = {
      count: 3,
      shape: [4, 4, 1],
      classNames: ['a', 'b'],
      async *batches() {
        yield { sources: [source, source, source], labels: Int32Array.from([0, 1, 1]), count: 3 }
      },
    } as unknown as RegionStream
    const { classWeights } = await targetRule({ classWeights: 'balanced' }, stream)
    expectAllClose(classWeights ?? [], [1.5, 0.75])
    expect(closed).toBe(3)
  })

  it('by name are 1 for the others, whatever the names', async () => {
    const named = { ...uneven, classNames: ['constructor', 'b', 'c'] }
    expect((await targetRule({ classWeights: { c: 4 } }, named)).classWeights).toEqual([1, 1, 4])
    expect((await targetRule({ labelSmoothing: 0.1 }, named)).classWeights).toBeUndefined()
  })

  it.each([
    [
      { classWeights: { zebra: 2 } },
      'train: classWeights must be for classes of the training set, got zebra (its classes: row 0, row 1, row 2)',
    ],
    [
      { classWeights: 'balanced' },
      'train: classWeights balanced must be for classes that all have training images, got none of row 2',
    ],
  ] as const)('are refused for a class that is not there: %o', async (options, message) => {
    const empty = { ...uneven, labels: Int32Array.from([0, 0, 0, 0, 1, 1, 1, 1]) }
    await expect(targetRule(options, empty)).rejects.toThrow(new RangeError(message))
  })

  it.each([
    [{ classWeights: { a: 0 } }, 'train: classWeights must be numbers greater than 0, got 0 for a'],
    [
      { classWeights: { a: Number.NaN } },
      'train: classWeights must be numbers greater than 0, got NaN for a',
    ],
    [{ classWeights: 'even' }, 'train: classWeights must be balanced, or numbers by class name, got even'],
    [{ labelSmoothing: 1 }, 'train: labelSmoothing must be in [0, 1), got 1'],
    [{ labelSmoothing: -0.1 }, 'train: labelSmoothing must be in [0, 1), got -0.1'],
  ])('and smoothing have their ranges: %o', (options, message) => {
    expect(() => checkTargetOptions(options as TargetOptions)).toThrow(new RangeError(message))
  })
})

it('the least loss is the entropy of the smoothed label, and not known with weights', () => {
  const smoothed = { ...plain, labelSmoothing: 0.3 }
  expect(floorWith(smoothed, 0)).toBeCloseTo(-0.8 * Math.log(0.8) - 0.2 * Math.log(0.1), 12)
  expect(floorWith(plain, 0.3)).toBe(0.3)
  expect(floorWith(smoothed, 2)).toBe(2)
  expect(floorWith({ ...smoothed, classWeights: [1, 2, 3] }, 2)).toBe(0)
})

describe('a training', () => {
  const options: TrainOptions = {
    train: brightRows(12, 3, 1),
    test: brightRows(9, 3, 2),
    epochs: 2,
    batchSize: 4,
    optimizer: { name: 'sgd', learningRate: 0.1 },
    seed: 1,
  }

  it('reports the smoothed and weighted loss of training, and the plain one of an evaluation', async () => {
    const still = { ...options, epochs: 1, optimizer: { name: 'sgd', learningRate: 1e-30 } } as const
    const [bare] = await historyOf(train(denseModel(), still))
    const [doubled] = await historyOf(
      train(denseModel(), { ...still, classWeights: { 'row 0': 2, 'row 1': 2, 'row 2': 2 } }),
    )
    expect(doubled?.trainLoss).toBeCloseTo(2 * (bare?.trainLoss ?? 0), 4)
    expect(doubled?.testLoss).toBe(bare?.testLoss)
    const [start] = await allEvents(train(denseModel(), { ...options, labelSmoothing: 0.3 }))
    expect(start).toMatchObject({ type: 'start', lossFloor: expect.closeTo(0.639, 3) })
  })

  it('takes mixed labels from its images: all of another label is training on that', async () => {
    const set = options.train as ReturnType<typeof brightRows>
    const other = set.labels.map(label => (label + 1) % 3)
    const stream = streamOf(set)
    const relabelled = {
      ...stream,
      async *batches(pass: Parameters<typeof stream.batches>[0]) {
        for await (const batch of stream.batches(pass)) {
          const shares = new Float32Array(batch.count).fill(1e-12)
          yield { ...batch, mixed: { labels: batch.labels.map(label => (label + 1) % 3), shares } }
        }
      },
    }
    const [mixedModel, otherModel] = [denseModel(), denseModel()]
    const history = await historyOf(train(mixedModel, { ...options, train: relabelled }))
    const expected = await historyOf(train(otherModel, { ...options, train: { ...set, labels: other } }))
    expectAllClose(weightsOf(mixedModel), weightsOf(otherModel))
    expect(history.at(-1)?.trainAccuracy).toBe(expected.at(-1)?.trainAccuracy)
  })

  it('of one output takes them as well', async () => {
    const two = { ...options, train: brightRows(12, 2, 1), test: brightRows(9, 2, 2) }
    const model = denseModel({ outputs: 1 })
    const [before, after] = await historyOf(
      train(model, { ...two, labelSmoothing: 0.1, classWeights: { 'row 1': 3 } }),
    )
    expect(after?.trainLoss).toBeLessThan(before?.trainLoss ?? 0)
  })
})
