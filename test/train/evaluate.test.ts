import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import type { ImageSet } from '../../src/data/image-set.js'
import { evaluate, predictProbabilities } from '../../src/train/evaluate.js'
import { useTestBackend } from '../backend-under-test.js'
import { twoByTwo } from './several-inputs.js'
import { brightRows, denseModel } from './tasks.js'

beforeAll(() => useTestBackend())

/** Two pixels an image; the logits are ln 3 times the pixels. */
function pixelModel(): tf.LayersModel {
  const model = tf.sequential()
  model.add(tf.layers.flatten({ inputShape: [1, 2, 1] }))
  const kernel = tf.tidy(() => tf.eye(2).mul(Math.log(3)))
  model.add(tf.layers.dense({ units: 2, useBias: false, weights: [kernel] }))
  return model
}

const pixels: ImageSet = {
  images: Uint8Array.of(255, 0, 255, 0, 0, 255),
  labels: Int32Array.of(0, 1, 0),
  count: 3,
  shape: [1, 2, 1],
  classNames: ['left', 'right', 'neither'].slice(0, 2),
}

describe('evaluate', () => {
  it('is worked by hand over all batches', async () => {
    // Probabilities of the label: 3/4, 1/4, 1/4; one of three is right.
    const result = await evaluate(pixelModel(), pixels, { batchSize: 2 })
    expect(result.loss).toBeCloseTo((-Math.log(0.75) - 2 * Math.log(0.25)) / 3, 5)
    expect(result.accuracy).toBe(1 / 3)
    expect(result.perClass).toEqual([1 / 2, 0])
    expect(result.count).toBe(3)
  })

  it('keeps what is said of every image where asked for', async () => {
    const { predictions } = await evaluate(pixelModel(), pixels, { batchSize: 2, predictions: true })
    expect([...predictions!.labels]).toEqual([0, 1, 0])
    expect([...predictions!.predicted]).toEqual([0, 0, 1])
    expect(predictions!.numClasses).toBe(2)
    const probabilities = Array.from(predictions!.logProbabilities, Math.exp)
    for (const [i, p] of [0.75, 0.25, 0.75, 0.25, 0.25, 0.75].entries())
      expect(probabilities[i]).toBeCloseTo(p, 5)
    expect(await evaluate(pixelModel(), pixels, { batchSize: 2 })).not.toHaveProperty('predictions')
  })

  it('keeps logarithms of both classes of one logit, finite where a probability rounds to 0', async () => {
    const model = tf.sequential()
    model.add(tf.layers.flatten({ inputShape: [1, 2, 1] }))
    const kernel = tf.tensor2d([200, -Math.log(3)], [2, 1])
    model.add(tf.layers.dense({ units: 1, useBias: false, weights: [kernel], activation: 'sigmoid' }))
    const { predictions } = await evaluate(model, pixels, { batchSize: 3, predictions: true })
    const logs = [...predictions!.logProbabilities]
    expect([...predictions!.predicted]).toEqual([1, 1, 0])
    expect(logs[0]).toBeCloseTo(-200, 3)
    expect(logs[1]).toBeCloseTo(0, 5)
    expect(logs[4]).toBeCloseTo(Math.log(0.75), 5)
    expect(logs[5]).toBeCloseTo(Math.log(0.25), 5)
  })

  it('does not depend on the batch size', async () => {
    const set = brightRows(23, 3, 4)
    const model = denseModel({ normalized: true })
    const whole = await evaluate(model, set, { batchSize: 23 })
    const parts = await evaluate(model, set, { batchSize: 5 })
    expect(parts.loss).toBeCloseTo(whole.loss, 5)
    expect(parts.accuracy).toBe(whole.accuracy)
    expect(parts.perClass).toEqual(whole.perClass)
  })

  it('says NaN for a class without images', async () => {
    const set = { ...pixels, labels: Int32Array.of(0, 0, 0) }
    expect((await evaluate(pixelModel(), set, { batchSize: 3 })).perClass).toEqual([2 / 3, Number.NaN])
  })

  it('says how right each group is, and the worst', async () => {
    // Images 0 and 2 are group 1 (right, wrong), image 1 is group 0 (wrong); group 2 has none.
    const set = { ...pixels, groups: Int32Array.of(1, 0, 1), groupNames: ['a', 'b', 'c'] }
    const result = await evaluate(pixelModel(), set, { batchSize: 2 })
    expect(result.perGroup).toEqual([0, 1 / 2, Number.NaN])
    expect(result.worstGroup).toBe(0)
    expect(await evaluate(pixelModel(), pixels, { batchSize: 2 })).not.toHaveProperty('worstGroup')
  })

  it('uses the threshold of one logit', async () => {
    const model = tf.sequential()
    model.add(tf.layers.flatten({ inputShape: [1, 2, 1] }))
    model.add(tf.layers.dense({ units: 1, useBias: false, weights: [tf.tensor2d([[-0.3], [0.3]])] }))
    expect((await evaluate(model, pixels, { batchSize: 3 })).accuracy).toBe(1 / 3)
    // No logit reaches 0.5, so everything is class 0.
    expect((await evaluate(model, pixels, { batchSize: 3, threshold: 0.5 })).accuracy).toBe(2 / 3)
  })

  it('stops at an aborted signal with its reason', async () => {
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(evaluate(pixelModel(), pixels, { batchSize: 1, signal })).rejects.toThrow('enough')
  })

  it('leaves no tensor behind', async () => {
    const model = pixelModel()
    await evaluate(model, pixels, { batchSize: 2 })
    const before = tf.memory().numTensors
    await evaluate(model, pixels, { batchSize: 2 })
    await predictProbabilities(model, pixels.images, pixels.shape)
    expect(tf.memory().numTensors).toBe(before)
  })

  it('refuses a batch size and a set that do not fit', async () => {
    await expect(evaluate(pixelModel(), pixels, { batchSize: 0 })).rejects.toThrow(
      'evaluate: batchSize must be a positive integer, got 0',
    )
    await expect(evaluate(pixelModel(), brightRows(4, 2, 1), { batchSize: 1 })).rejects.toThrow(
      "evaluate: set must fit the model's input [1, 2, 1], got images of [4, 4, 1]",
    )
  })
})

describe('predictProbabilities', () => {
  it('gives one row for each image, over several batches', async () => {
    const rows = await predictProbabilities(pixelModel(), pixels.images, pixels.shape, { batchSize: 2 })
    expect(rows.length).toBe(3)
    const expected = [
      [0.75, 0.25],
      [0.75, 0.25],
      [0.25, 0.75],
    ]
    for (const [i, row] of rows.entries()) {
      expect(row[0]).toBeCloseTo(expected[i]?.[0] ?? Number.NaN, 5)
      expect(row[1]).toBeCloseTo(expected[i]?.[1] ?? Number.NaN, 5)
    }
  })

  it('refuses part of an image, a model of two inputs and a wrong batch size', async () => {
    await expect(predictProbabilities(pixelModel(), new Uint8Array(3), [1, 2, 1])).rejects.toThrow(
      'predictProbabilities: images must hold a multiple of 2 pixels ([1, 2, 1]), got 3',
    )
    await expect(predictProbabilities(twoByTwo(), new Uint8Array(16), [4, 4, 1])).rejects.toThrow(
      'predictProbabilities: images must be for a model of 1 input, got 2 inputs',
    )
    await expect(
      predictProbabilities(pixelModel(), pixels.images, [1, 2, 1], { batchSize: 1.5 }),
    ).rejects.toThrow('predictProbabilities: batchSize must be a positive integer, got 1.5')
  })
})
