import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, test } from 'vitest'
import type { ImageSet } from '../../src/data/image-set.js'
import { explain } from '../../src/explain/explain.js'
import { patchMoE } from '../../src/layers/moe/patch-moe.js'
import { sampleMoE } from '../../src/layers/moe/sample-moe.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { predictProbabilities } from '../../src/train/evaluate.js'
import { measureRouting } from '../../src/train/routing/routing-summary.js'
import { useTestBackend } from '../backend-under-test.js'
import { brightPatch, twoLayer } from './bright-patches.js'

beforeAll(async () => {
  await useTestBackend()
})

/** Two experts that look for light: the first scores the sum of a patch, the second its negative. */
function seekers(): tf.LayersModel {
  const model = twoLayer(2, 1)
  const router = model.weights.find(({ originalName }) => originalName.endsWith('router'))!
  router.write(tf.tensor4d([1, -1, 1, -1, 1, -1, 1, -1], [2, 2, 1, 2]))
  return model
}

/**
 * A map of four pixels, of which the one expert keeps the two brightest as they are; the logits are their sum and 0.
 */
function brightestTwo(): tf.LayersModel {
  const model = tf.sequential()
  const identity = { filters: 1, kernelSize: 1, numExperts: 1, patchesPerExpert: 2, patchSize: 1 }
  model.add(patchMoE({ ...identity, inputShape: [2, 2, 1], gate: 'uniform' }))
  model.add(tf.layers.flatten())
  model.add(tf.layers.dense({ units: 2, useBias: false }))
  model.setWeights([
    tf.ones([1, 1, 1, 1]),
    tf.ones([1, 1, 1, 1]),
    tf.tensor2d([1, 0, 1, 0, 1, 0, 1, 0], [4, 2]),
  ])
  return model
}

describe('explain', () => {
  test('says which patch each expert keeps, and what the model predicts', async () => {
    const model = seekers()
    const images = Uint8Array.from([...brightPatch(3), ...brightPatch(0)])
    const before = tf.memory().numTensors
    const { grid, field, images: explained } = await explain(model, images, [4, 4, 1])
    expect(tf.memory().numTensors).toBe(before)
    expect(grid).toEqual([2, 2])
    expect(field).toEqual([2, 2])
    expect(explained.map(({ experts }) => experts.map(({ patches }) => patches))).toEqual([
      [[3], [0]],
      [[0], [1]],
    ])
    expect(explained[0]?.experts[0]?.gates[0]).toBeCloseTo(1, 6)
    const probabilities = await predictProbabilities(model, images, [4, 4, 1])
    expect(explained.map(explanation => explanation.probabilities)).toEqual(probabilities)
    expect(explained.map(({ predicted }) => predicted)).toEqual(
      probabilities.map(row => row.indexOf(Math.max(...row))),
    )
  })

  test('calls experts by the names that they had before others were pruned', async () => {
    const model = tf.sequential()
    const options = { filters: 2, kernelSize: 1, numExperts: 2, patchesPerExpert: 1, patchSize: 1 }
    model.add(patchMoE({ ...options, expertNames: ['1', '4'], inputShape: [2, 2, 1], seed: 1 }))
    model.add(tf.layers.flatten())
    model.add(tf.layers.dense({ units: 2 }))
    const pixels = Uint8Array.of(1, 2, 3, 4)
    const { images } = await explain(model, pixels, [2, 2, 1])
    expect(images[0]?.experts.map(({ name, layer }) => ({ name, layer }))).toEqual([
      { name: '1', layer: undefined },
      { name: '4', layer: undefined },
    ])
    const set: ImageSet = {
      images: pixels,
      labels: Int32Array.of(0),
      count: 1,
      shape: [2, 2, 1],
      classNames: ['a', 'b'],
    }
    expect((await measureRouting(model, set))?.experts).toEqual([{ name: '1' }, { name: '4' }])
  })

  test('measures what a patch counts, worked by hand', async () => {
    // Pixels 0, 1, 0.4, 0.6: the expert keeps patches 1 and 3, and class 0 has the logit 1.6 against 0.
    const image = Uint8Array.of(0, 255, 102, 153)
    const { images } = await explain(brightestTwo(), image, [2, 2, 1])
    const sigmoid = (z: number) => 1 / (1 + Math.exp(-z))
    const [{ experts, probabilities, sensitivity } = {}] = images
    expect(experts).toEqual([{ patches: [1, 3], gates: [1, 1] }])
    expect(probabilities?.[0]).toBeCloseTo(sigmoid(1.6), 5)
    // The routing stays: what was not kept does not step in.
    const expected = [0, sigmoid(1.6) - sigmoid(0.6), 0, sigmoid(1.6) - sigmoid(1)]
    expected.forEach((value, patch) => {
      expect(sensitivity?.[patch]).toBeCloseTo(value, 5)
    })
    expect(sensitivity?.[0]).toBe(0)
  })

  test('removes a patch from the input of a two-layer model', async () => {
    const model = seekers()
    const image = brightPatch(3)
    const [{ probabilities, sensitivity, predicted } = {}] = (await explain(model, image, [4, 4, 1])).images
    // Without its light the image is black, and every patch the same.
    const [black] = await predictProbabilities(model, new Uint8Array(16), [4, 4, 1])
    const at = predicted as number
    expect(sensitivity?.[3]).toBeCloseTo((probabilities?.[at] ?? 0) - (black?.[at] ?? 0), 6)
    expect(sensitivity?.[1]).toBe(0)
  })

  test('leaves the layers of the model as they were, also where one throws', async () => {
    const model = brightestTwo()
    const image = Uint8Array.of(0, 255, 102, 153)
    const before = await predictProbabilities(model, image, [2, 2, 1])
    await explain(model, image, [2, 2, 1])
    expect(await predictProbabilities(model, image, [2, 2, 1])).toEqual(before)
    const [layer] = model.layers as [tf.layers.Layer]
    expect(Object.hasOwn(layer, 'call')).toBe(false)
    Reflect.set(layer, 'route', () => {
      throw new Error('no route')
    })
    await expect(explain(model, image, [2, 2, 1])).rejects.toThrow('no route')
    expect(Object.hasOwn(layer, 'call')).toBe(false)
  })

  test('finds a mixture inside a nested model', async () => {
    const inner = brightestTwo()
    const input = tf.input({ shape: [2, 2, 1] })
    const model = tf.model({ inputs: input, outputs: inner.apply(input) as tf.SymbolicTensor })
    const image = Uint8Array.of(0, 255, 102, 153)
    expect((await explain(model, image, [2, 2, 1])).images).toEqual(
      (await explain(inner, image, [2, 2, 1])).images,
    )
  })

  test('has nothing to say of patches where every patch is kept', async () => {
    const kept = await explain(twoLayer(1, 4), brightPatch(0), [4, 4, 1])
    expect(kept).not.toHaveProperty('grid')
    expect(kept.images[0]?.experts).toEqual([])
    expect(kept.images[0]).not.toHaveProperty('sensitivity')
    const dense = wideResNet({ inputShape: [8, 8, 1], numClasses: 2, widenFactor: 1 })
    expect(await explain(dense, new Uint8Array(64), [8, 8, 1])).not.toHaveProperty('grid')
  })

  test('refuses images that do not fit', async () => {
    const model = brightestTwo()
    await expect(explain(model, new Uint8Array(5), [2, 2, 1])).rejects.toThrow(
      new RangeError('explain: images must hold a multiple of 4 pixels ([2, 2, 1]), got 5'),
    )
    await expect(explain(model, new Uint8Array(9), [3, 3, 1])).rejects.toThrow(
      "explain: images must fit the model's input [2, 2, 1], got images of [3, 3, 1]",
    )
    await expect(explain(model, new Uint8Array(4), [2, 2, 1], { batchSize: 0 })).rejects.toThrow(
      new RangeError('explain: batchSize must be a positive integer, got 0'),
    )
  })
})

test.each(['sparse', 'drop-in', 'authors'] as const)(
  'every expert of a %s network is asked, inside the network',
  async variant => {
    const model = wideResNet({
      inputShape: [16, 16, 1],
      numClasses: 2,
      widenFactor: 1,
      variant,
      pmoe: { numExperts: 2, patchesPerExpert: 3, patchSize: 1 },
    })
    const pixels = new Uint8Array(2 * 256).map((_, i) => i % 251)
    const { grid, field, images } = await explain(model, pixels, [16, 16, 1], { batchSize: 1 })
    expect(grid).toEqual([4, 4])
    // 3x3 convolutions over pixels 1, 1, 1, 1, 2 and 2 apart: 1 + 2 (1 + 1 + 1 + 1 + 2 + 2).
    expect(field).toEqual([17, 17])
    for (const { experts, sensitivity } of images) {
      expect(experts).toHaveLength(2)
      const all = new Set(experts.flatMap(({ patches }) => patches))
      sensitivity?.forEach((lost, patch) => {
        if (!all.has(patch)) expect(lost).toBe(0)
      })
      for (const { patches, gates } of experts) {
        expect(new Set(patches).size).toBe(3)
        expect(Math.min(...patches) >= 0 && Math.max(...patches) < 16).toBe(true)
        expect(gates.every(gate => gate > 0)).toBe(true)
      }
    }
  },
)

describe('a model that sends whole images to experts', () => {
  /** Scores are the image's sum times 1, -1 and 1/2; logits are those of the experts' filters, all of weight 1. */
  function byBrightness(expertsPerSample: number): tf.LayersModel {
    const layer = sampleMoE({
      ...{ numExperts: 3, outputs: 2, filtersPerOutput: 1, patchSize: 1, activation: 'linear' },
      ...{ inputShape: [2, 2, 1], expertsPerSample, expertNames: ['0', '2', '5'], name: 'mixture' },
    })
    const model = tf.sequential({ layers: [layer, tf.layers.softmax()] })
    model.setWeights([tf.tensor4d([1, -1, 0.5], [1, 1, 1, 3]), tf.ones([1, 1, 1, 6]), tf.zeros([6])])
    return model
  }

  test('says which experts an image goes to, their gates, and all scores', async () => {
    // Sums of 4 and 0: scores 4, -4, 2, and three times 0, of which the lowest numbers are taken.
    const images = Uint8Array.from([255, 255, 255, 255, 0, 0, 0, 0])
    const model = byBrightness(2)
    const before = tf.memory().numTensors
    const { grid, images: explained } = await explain(model, images, [2, 2, 1])
    expect(tf.memory().numTensors).toBe(before)
    expect(grid).toBeUndefined()
    const [bright, dark] = explained.map(({ choices }) => choices![0]!)
    expect(bright).toMatchObject({ layer: 'mixture', names: ['0', '2', '5'], experts: [0, 2] })
    expect(dark!.experts).toEqual([0, 1])
    expect(bright!.scores.map(Math.round)).toEqual([4, -4, 2])
    const total = Math.exp(4) + Math.exp(-4) + Math.exp(2)
    expect(bright!.gates[0]).toBeCloseTo(Math.exp(4) / total, 5)
    expect(bright!.gates[1]).toBeCloseTo(Math.exp(2) / total, 5)
    expect(dark!.gates[0]).toBeCloseTo(1 / 3, 5)
    expect(explained[0]!.experts).toEqual([])
  })

  test('has one choice where each image goes to one expert, and none without such a layer', async () => {
    const images = new Uint8Array(4).fill(255)
    const [explained] = (await explain(byBrightness(1), images, [2, 2, 1])).images
    expect(explained!.choices).toMatchObject([{ experts: [0] }])
    expect((await explain(brightestTwo(), images, [2, 2, 1])).images[0]).not.toHaveProperty('choices')
  })
})
