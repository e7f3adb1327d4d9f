import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { centreOf, hit, meanHit, strongest } from '../../../scripts/study/localise/pointing-game.js'
import { gradCam, occlusion } from '../../../scripts/study/localise/saliency.js'
import { useBackend } from '../../../src/backend/choose.js'
import { wholeImageModel } from '../../../src/models/whole-image-model.js'

beforeAll(async () => {
  await useBackend('wasm')
})

describe('the pointing game', () => {
  // A thing of 4x6 at (10, 20) that counts, and one at (0, 0) that does not.
  const things = { boxes: Int32Array.of(10, 20, 4, 6, 0, 0, 4, 4), relevant: Uint8Array.of(1, 0) }

  it.each([
    [10, 20, 1, 1],
    [13.9, 25.9, 1, 1],
    [14, 25, 0, 1],
    [15.9, 26, 0, 1],
    [16, 25, 0, 0],
    [8, 18, 0, 1],
    [7.9, 20, 0, 0],
    [2, 2, 0, 0],
  ])('counts the point (%d, %d) as inside: %d, near: %d', (y, x, inside, near) => {
    expect(hit([y, x], things, 2)).toEqual({ inside, near })
  })

  it('takes the centre of the strongest cell, the first of several', () => {
    expect(strongest([1, 3, 3, 2])).toBe(1)
    // Of 2x4 cells of 8x8 pixels the sixth is in the second row and the second column.
    expect(centreOf(5, [2, 4], [16, 32])).toEqual([12, 12])
    expect(
      meanHit([
        { inside: 1, near: 1 },
        { inside: 0, near: 1 },
      ]),
    ).toEqual({ inside: 0.5, near: 1 })
  })
})

describe('explanations of a network on whole images', () => {
  const shape = [16, 16, 1] as const
  const pixels = Uint8Array.from({ length: 256 }, (_, i) => (i * 37) % 256)
  const explained = { pixels, shape, label: 1 }

  it('weigh channels by the mean gradient of the logit, as Grad-CAM does', async () => {
    const model = wholeImageModel({ imageShape: shape, numClasses: 3, seed: 4 })
    const { values, map } = await gradCam(model, 'relu3', explained)
    expect(map).toEqual([2, 2])
    // The head takes the largest of the 4 places: the mean gradient is a quarter of the class's weight.
    const activations = tf.tidy(() => {
      const features = tf.model({
        inputs: model.inputs,
        outputs: model.getLayer('relu3').output as tf.SymbolicTensor,
      })
      return (
        features.predict(
          tf.tensor4d(
            Float32Array.from(pixels, v => v / 255),
            [1, 16, 16, 1],
          ),
        ) as tf.Tensor4D
      ).arraySync()
    })[0]!
    const kernel = model.getLayer('logits').getWeights()[0]!.arraySync() as number[][]
    const expected = activations.flat().map(channels =>
      Math.max(
        0,
        channels.reduce((sum, value, channel) => sum + (value * kernel[channel]![1]!) / 4, 0),
      ),
    )
    for (const [place, value] of values.entries()) expect(value).toBeCloseTo(expected[place]!, 5)
    model.dispose()
  })

  it('lose what is painted over, as occlusion measures it, and leave no tensor', async () => {
    const model = wholeImageModel({ imageShape: shape, numClasses: 3, seed: 4 })
    const windows = { map: [1, 2] as const, boxes: Int32Array.of(-4, -4, 12, 12, 4, 8, 8, 8) }
    await occlusion(model, explained, windows)
    const before = tf.memory().numTensors
    const { values } = await occlusion(model, explained, windows)
    expect(tf.memory().numTensors).toBe(before)
    const mean = Math.round(pixels.reduce((sum, value) => sum + value, 0) / 256)
    const probability = (painted: (y: number, x: number) => boolean) =>
      tf.tidy(() => {
        const copy = Float32Array.from(
          pixels,
          (value, i) => (painted(Math.floor(i / 16), i % 16) ? mean : value) / 255,
        )
        return (model.predict(tf.tensor4d(copy, [1, 16, 16, 1])) as tf.Tensor).dataSync()[1]!
      })
    const whole = probability(() => false)
    expect(values[0]).toBeCloseTo(whole - probability((y, x) => y < 8 && x < 8), 5)
    expect(values[1]).toBeCloseTo(whole - probability((y, x) => y >= 4 && y < 12 && x >= 8), 5)
    model.dispose()
  })
})
