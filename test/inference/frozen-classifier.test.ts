import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, test } from 'vitest'
import type { ImageSet } from '../../src/data/image-set.js'
import { explain } from '../../src/explain/explain.js'
import { frozenClassifier } from '../../src/inference/frozen-classifier.js'
import { sampleMoEModel } from '../../src/models/sample-moe.js'
import { twoLayerPatchModel } from '../../src/models/two-layer.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { evaluate, predictProbabilities } from '../../src/train/evaluate.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { trained } from '../export/exported-models.js'

beforeAll(async () => {
  await useTestBackend()
})

/** The first digits of the samples, 8x8 pixels of grey. */
function digits(count: number): ImageSet {
  const path = new URL('../../samples/digits8/t10k-images-idx3-ubyte.gz', import.meta.url)
  const bytes = gunzipSync(readFileSync(path))
  const [height, width] = [bytes.readUInt32BE(8), bytes.readUInt32BE(12)] as const
  return {
    images: new Uint8Array(bytes.subarray(16, 16 + count * height * width)),
    labels: Int32Array.from({ length: count }, (_, i) => i % 3),
    count,
    shape: [height, width, 1],
    classNames: ['a', 'b', 'c'],
  }
}

const set = digits(40)
const { images, shape } = set
const pmoe = { numExperts: 2, patchesPerExpert: 3, patchSize: 1 } as const
const classifiers: Readonly<Record<string, () => tf.LayersModel>> = {
  'a sparse WRN': () => wideResNet({ inputShape: shape, numClasses: 3, widenFactor: 1, pmoe }),
  'a masked WRN': () =>
    wideResNet({
      ...{ inputShape: shape, numClasses: 3, widenFactor: 1, variant: 'authors' },
      pmoe: { ...pmoe, gate: 'softmax-all' },
    }),
  'a two-layer mixture': () =>
    twoLayerPatchModel({
      ...{ inputShape: shape, numClasses: 3, numExperts: 2, patchesPerExpert: 5, patchSize: 2 },
      ...{ hiddenUnits: 8, normalizer: 'selected' },
    }),
  'a mixture of samples': () =>
    sampleMoEModel({ inputShape: shape, patchSize: 4, numExperts: 3, numClasses: 3, expertsPerSample: 2 }),
  'a dense layer with a softmax': () =>
    tf.sequential({
      layers: [
        tf.layers.flatten({ inputShape: [...shape] }),
        tf.layers.dense({ units: 3, activation: 'softmax' }),
      ],
    }),
  'a mixture in a nested model': () => {
    const inner = wideResNet({ inputShape: shape, numClasses: 3, widenFactor: 1, pmoe })
    inner.name = 'inner'
    const input = tf.input({ shape: [...shape] })
    const logits = inner.apply(input) as tf.SymbolicTensor
    return tf.model({ inputs: input, outputs: tf.layers.softmax().apply(logits) as tf.SymbolicTensor })
  },
}

describe.each(Object.entries(classifiers))('%s, frozen', (_, build) => {
  test('explains real images as the model does, in the same words', async () => {
    const model = trained(build())
    const before = tf.memory().numTensors
    const frozen = await frozenClassifier(model, { routes: true })
    const expected = await explain(model, images, shape, { sensitivity: false })
    const own = await explain(model, images, shape, { sensitivity: false, frozen, batchSize: 16 })
    expect(own.grid).toEqual(expected.grid)
    expect(own.images.map(({ predicted }) => predicted)).toEqual(
      expected.images.map(({ predicted }) => predicted),
    )
    for (const [i, { probabilities, experts, choices }] of own.images.entries()) {
      const image = expected.images[i]!
      expectAllClose(probabilities, image.probabilities, 0, 1e-5)
      expect(experts.map(({ patches }) => patches)).toEqual(image.experts.map(({ patches }) => patches))
      expectAllClose(
        experts.flatMap(({ gates }) => gates),
        image.experts.flatMap(({ gates }) => gates),
      )
      expect(choices?.map(choice => choice.experts)).toEqual(image.choices?.map(choice => choice.experts))
      expectAllClose(
        choices?.flatMap(({ scores }) => scores) ?? [],
        image.choices?.flatMap(({ scores }) => scores) ?? [],
      )
    }
    const probabilities = await predictProbabilities(model, images, shape, { frozen })
    expectAllClose(
      probabilities.map(row => [...row]),
      expected.images.map(row => [...row.probabilities]),
      0,
      1e-5,
    )
    frozen.dispose()
    expect(tf.memory().numTensors).toBe(before)
  })
})

test('an evaluation by a frozen copy measures what one by the model does, also where a softmax rounds to 0', async () => {
  const model = trained(classifiers['a dense layer with a softmax']!())
  const kernel = model.weights[0]!
  kernel.write(tf.mul(kernel.read(), 100))
  const frozen = await frozenClassifier(model)
  const expected = await evaluate(model, set, { batchSize: 16 })
  const own = await evaluate(model, set, { batchSize: 16, frozen })
  expect(own.accuracy).toBe(expected.accuracy)
  expect(own.perClass).toEqual(expected.perClass)
  // The logits are hundreds: probabilities of 32 bits could not tell such a loss.
  expect(expected.loss).toBeGreaterThan(20)
  expect(Math.abs(own.loss / expected.loss - 1)).toBeLessThan(1e-5)
  const [, bias] = model.weights
  bias!.write(tf.tensor1d([1000, 0, 0]))
  expect((await evaluate(model, set, { batchSize: 16, frozen })).loss).toBe(own.loss)
})

test('what is frozen without routes, of another model or of samples that choose is refused where it does not serve', async () => {
  const model = trained(classifiers['a sparse WRN']!())
  const ofSamples = trained(classifiers['a mixture of samples']!())
  const plain = await frozenClassifier(model)
  await expect(explain(model, images, shape, { sensitivity: false, frozen: plain })).rejects.toThrow(
    'forInference: routes must be true for predictWithRoutes, got false',
  )
  const other = await frozenClassifier(ofSamples, { routes: true })
  await expect(explain(model, images, shape, { sensitivity: false, frozen: other })).rejects.toThrow(
    /^explain: frozen must be a copy of the model, got one without routes of layer patch_moe/,
  )
  await expect(evaluate(ofSamples, set, { batchSize: 8, frozen: other })).rejects.toThrow(
    /^evaluate: frozen must be left out for a model whose samples choose experts, got one for sample_moe \(logits\)$/,
  )
  await expect(evaluate(ofSamples, set, { batchSize: 8, testFlips: true })).rejects.toThrow(
    /^evaluate: testFlips must be left out for a model whose samples choose experts, got one for sample_moe \(logits\)$/,
  )
})
