import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, test } from 'vitest'
import type { ImageSet } from '../../src/data/image-set.js'
import { random } from '../../src/random.js'
import { evaluate, predictProbabilities } from '../../src/train/evaluate.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(() => useTestBackend())

const shape = [4, 6, 2] as const
const count = 20
const chance = random(3)

/** Random images, and the same mirrored. */
function images(mirrored: boolean): Uint8Array {
  const [height, width, channels] = shape
  return original.map((_, i) => {
    const column = Math.floor(i / channels) % width
    const other = mirrored ? i + (width - 1 - 2 * column) * channels : i
    return original[other % (count * height * width * channels)] as number
  })
}
const original = Uint8Array.from({ length: count * 48 }, () => chance.below(256))

function model(outputs: number): tf.LayersModel {
  return tf.sequential({
    layers: [
      tf.layers.flatten({ inputShape: [...shape] }),
      tf.layers.dense({
        units: outputs,
        kernelInitializer: tf.initializers.randomNormal({ stddev: 1, seed: 2 }),
      }),
    ],
  })
}

describe.each([1, 2, 3])('test flips of a model of %d outputs', outputs => {
  const numClasses = Math.max(2, outputs)
  const set: ImageSet = {
    images: images(false),
    labels: Int32Array.from({ length: count }, (_, i) => i % numClasses),
    count,
    shape,
    classNames: Array.from({ length: numClasses }, (_, label) => `${label}`),
  }

  test('are the mean of the probabilities of both', async () => {
    const network = model(outputs)
    const asTheyAre = await predictProbabilities(network, images(false), shape)
    const mirrored = await predictProbabilities(network, images(true), shape)
    const both = await predictProbabilities(network, images(false), shape, { testFlips: true, batchSize: 7 })
    expect(both.length).toBe(count)
    for (const [i, row] of both.entries()) {
      for (const [label, value] of row.entries()) {
        expect(value).toBeCloseTo(((asTheyAre[i]?.[label] ?? 0) + (mirrored[i]?.[label] ?? 0)) / 2, 5)
      }
    }
    network.dispose()
  })

  test('give the loss and the accuracy of these probabilities, and leave no tensor', async () => {
    const network = model(outputs)
    const rows = await predictProbabilities(network, images(false), shape, { testFlips: true })
    const before = tf.memory().numTensors
    const { loss, accuracy, predictions } = await evaluate(network, set, {
      batchSize: 8,
      testFlips: true,
      predictions: true,
    })
    expect(tf.memory().numTensors).toBe(before)
    const ofLabels = rows.map((row, i) => row[set.labels[i] as number] as number)
    expect(loss).toBeCloseTo(-ofLabels.reduce((sum, value) => sum + Math.log(value), 0) / count, 4)
    const right = rows.filter((row, i) => row.indexOf(Math.max(...row)) === set.labels[i]).length
    expect(accuracy).toBeCloseTo(right / count, 6)
    expect(Math.exp(predictions?.logProbabilities[0] ?? 0)).toBeCloseTo(rows[0]?.[0] ?? 0, 5)
    network.dispose()
  })
})
