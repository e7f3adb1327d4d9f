import type * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { augmented } from '../../src/data/augmentation/augmented.js'
import type { ImageSet, PixelSet } from '../../src/data/image-set.js'
import { streamOf } from '../../src/data/image-stream.js'
import { explain } from '../../src/explain/explain.js'
import { twoLayerPatchModel } from '../../src/models/two-layer.js'
import { evaluate, predictProbabilities } from '../../src/train/evaluate.js'
import { train } from '../../src/train/loop.js'
import { trainRouters } from '../../src/train/routing/routers.js'
import { measureRouting } from '../../src/train/routing/routing-summary.js'
import { upload } from '../../src/train/upload.js'
import { useTestBackend } from '../backend-under-test.js'
import { brightRows, denseModel, historyOf, weightsOf, withoutClock } from './tasks.js'

beforeAll(() => useTestBackend())

/** The same images as networks see them. */
const seen = (set: PixelSet): ImageSet<Float32Array> => ({
  ...set,
  images: Float32Array.from(set.images, value => value / 255),
})
const pixels = brightRows(24, 3, 1)
const floats = seen(pixels)

const mixture = (numClasses = 3): tf.LayersModel =>
  twoLayerPatchModel({
    inputShape: [4, 4, 1],
    patchSize: [1, 4],
    numExperts: 2,
    patchesPerExpert: 2,
    hiddenUnits: 8,
    numClasses,
    gate: 'softmax-selected',
    seed: 2,
  })

describe('a set of floats', () => {
  it('is uploaded as it is, negative values and all', async () => {
    const x = upload(Float32Array.of(-31.5, 0, 1e-7, 2.5), [1, 2, 1])
    expect({ shape: x.shape, dtype: x.dtype }).toEqual({ shape: [2, 1, 2, 1], dtype: 'float32' })
    expect([...(await x.data())]).toEqual([-31.5, 0, 1e-7, 2.5].map(Math.fround))
    x.dispose()
  })

  it('trains as the pixels that look the same: same history, same weights', async () => {
    const trained = async (set: ImageSet) => {
      const model = denseModel({ normalized: true })
      const varied = augmented(streamOf(set), { flip: true, padCrop: 1, seed: 5 })
      const optimizer = { name: 'momentum', learningRate: 0.1, momentum: 0.9 } as const
      const options = { epochs: 2, batchSize: 5, optimizer, seed: 7, test: set }
      const history = withoutClock(await historyOf(train(model, { train: varied, ...options })))
      return { history, weights: weightsOf(model) }
    }
    expect(await trained(floats)).toEqual(await trained(pixels))
  })

  it('is evaluated, explained and routed as the pixels are', async () => {
    const model = mixture()
    expect(await evaluate(model, floats, { batchSize: 7 })).toEqual(
      await evaluate(model, pixels, { batchSize: 7 }),
    )
    expect(await predictProbabilities(model, floats.images, floats.shape)).toEqual(
      await predictProbabilities(model, pixels.images, pixels.shape),
    )
    expect(await explain(model, floats.images, floats.shape)).toEqual(
      await explain(model, pixels.images, pixels.shape),
    )
    expect(await measureRouting(model, floats)).toEqual(await measureRouting(model, pixels))
  })

  it('trains routers as the pixels do', async () => {
    const two = brightRows(24, 2, 1)
    const losses = async (set: ImageSet) => {
      const found: number[] = []
      const options = { train: set, epochs: 2, batchSize: 8, learningRate: 0.1, seed: 3 }
      for await (const { loss } of trainRouters(mixture(2), options)) found.push(loss)
      return found
    }
    const ofPixels = await losses(two)
    const ofFloats = await losses(seen(two))
    expect(ofPixels).toHaveLength(2)
    for (const [epoch, loss] of ofPixels.entries()) expect(ofFloats[epoch]).toBeCloseTo(loss, 5)
  })

  it('is refused where a value is not finite, by everything that takes images', async () => {
    const images = floats.images.slice()
    images[2 * 16 + 5] = Number.NaN
    const broken = { ...floats, images }
    const found = 'must hold finite values, got NaN (image 2, value 5)'
    const model = mixture()
    await expect(evaluate(model, broken, { batchSize: 4 })).rejects.toThrow(`evaluate: set ${found}`)
    await expect(predictProbabilities(model, images, floats.shape)).rejects.toThrow(
      `predictProbabilities: images ${found}`,
    )
    await expect(explain(model, images, floats.shape)).rejects.toThrow(`explain: images ${found}`)
    await expect(measureRouting(model, broken)).rejects.toThrow(found)
    const optimizer = { name: 'sgd', learningRate: 0.1 } as const
    const options = { epochs: 1, batchSize: 4, optimizer, seed: 1 }
    await expect(historyOf(train(model, { ...options, train: broken }))).rejects.toThrow(
      `train: training set ${found}`,
    )
    await expect(historyOf(train(model, { ...options, train: floats, test: broken }))).rejects.toThrow(
      `train: test set ${found}`,
    )
  })

  it('is refused as an array of doubles, which was cut to whole numbers before', async () => {
    const images = Float64Array.from(floats.images) as unknown as Float32Array
    await expect(evaluate(mixture(), { ...floats, images }, { batchSize: 4 })).rejects.toThrow(
      new TypeError('evaluate: set must hold images in a Uint8Array or a Float32Array, got Float64Array'),
    )
  })
})
