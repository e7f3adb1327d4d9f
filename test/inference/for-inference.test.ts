import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { UnsupportedModelError } from '../../src/export/graph/graph.js'
import { forInference } from '../../src/inference/for-inference.js'
import { patchMoE } from '../../src/layers/moe/patch-moe.js'
import {
  mostPatchesPerExpert,
  routingLayers,
  setPatchesPerExpert,
} from '../../src/layers/moe/routing-layers.js'
import { useTestBackend } from '../backend-under-test.js'
import {
  damagedImages,
  hasNaN,
  layerCases,
  mixtureCases,
  networkCases,
  noise,
  tangled,
  trained,
} from '../export/exported-models.js'
import { difference } from '../export/run-onnx.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

/** Frozen and unfrozen, the model says the same of noise, in batches of several sizes. */
async function expectSame(model: tf.LayersModel, batches: readonly number[], within = 1e-5) {
  const frozen = await forInference(model)
  for (const batch of batches) {
    const x = noise(model.inputs[0]?.shape ?? [], batch, batch)
    const y = model.predict(x, { batchSize: batch }) as tf.Tensor
    const [own] = frozen.predict(x)
    expect(own?.shape).toEqual(y.shape)
    expect(difference(y, own?.dataSync() as Float32Array)).toBeLessThan(within)
  }
  frozen.dispose()
}

describe('a frozen model says what the model says', () => {
  test.each([...networkCases, ...mixtureCases])('$name', async ({ build }) => {
    await expectSame(trained(build()), [1, 3])
  })

  test.each(Object.entries(layerCases))('%s', async (_, builds) => {
    for (const build of builds) await expectSame(trained(build()), [2], 2e-5)
  })

  test('with two inputs and outputs, a nested model and a shared layer', async () => {
    const model = trained(tangled())
    const frozen = await forInference(model)
    const inputs = [noise([null, 6, 6, 2], 3, 1), noise([null, 6, 6, 2], 3, 2)]
    const expected = model.predict(inputs) as tf.Tensor[]
    const outputs = frozen.predict(inputs)
    expect(frozen.outputNames).toEqual(model.outputNames)
    for (const [i, output] of outputs.entries()) {
      expect(difference(expected[i] as tf.Tensor, output.dataSync() as Float32Array)).toBeLessThan(1e-5)
    }
  })

  test.each(mixtureCases)('with NaN wherever a number that is not finite lies: $name', async ({ build }) => {
    const model = trained(build())
    const images = damagedImages(model.inputs[0]!.shape)
    const expected = (model.predict(images, { batchSize: images.shape[0] as number }) as tf.Tensor).dataSync()
    const frozen = await forInference(model)
    const own = frozen.predict(images)[0]?.dataSync() as Float32Array
    const count = images.shape[0] as number
    expect(hasNaN(own, count)).toEqual(hasNaN(expected as Float32Array, count))
  })
})

describe('a frozen model', () => {
  test('does not change when the model is trained further', async () => {
    const model = trained(networkCases[2]!.build())
    const x = noise(model.inputs[0]!.shape, 2, 1)
    const frozen = await forInference(model)
    const before = frozen.predict(x)[0]?.dataSync() as Float32Array
    trained(model, 2)
    expect([...(frozen.predict(x)[0]?.dataSync() ?? [])]).toEqual([...before])
    expect(difference(model.predict(x) as tf.Tensor, before)).toBeGreaterThan(1e-3)
  })

  test('tells what its mixtures chose, in the same pass', async () => {
    const model = trained(networkCases[2]!.build())
    const x = noise(model.inputs[0]!.shape, 3, 1)
    const frozen = await forInference(model, { routes: true })
    const { outputs, routes } = frozen.predictWithRoutes(x)
    expect(difference(model.predict(x) as tf.Tensor, outputs[0]?.dataSync() as Float32Array)).toBeLessThan(
      1e-5,
    )
    const [layer] = routingLayers(model)!.layers
    const before = tf.model({ inputs: model.inputs, outputs: layer!.input as tf.SymbolicTensor })
    const chosen = layer!.route(before.predict(x) as tf.Tensor4D)
    expect(routes.map(route => route.layer)).toEqual(['patch_moe'])
    expect([...routes[0]!.indices.dataSync()]).toEqual([...chosen.indices.dataSync()])
    expect(difference(chosen.gates, routes[0]!.gates.dataSync() as Float32Array)).toBeLessThan(1e-5)
    expect(frozen.predict(x)).toHaveLength(1)
  })

  test('keeps its numbers, and after dispose nothing; a prediction leaves its outputs alone', async () => {
    const model = trained(networkCases[3]!.build())
    const x = noise(model.inputs[0]!.shape, 2, 1)
    const before = tf.memory().numTensors
    const frozen = await forInference(model)
    tf.dispose(frozen.predict(x))
    const warm = tf.memory().numTensors
    const outputs = frozen.predict(x)
    expect(tf.memory().numTensors).toBe(warm + 1)
    tf.dispose(outputs)
    frozen.dispose()
    expect(tf.memory().numTensors).toBe(before)
  })

  test('an input that is an output too is not given away', async () => {
    const input = tf.input({ shape: [3], name: 'x' })
    const doubled = tf.layers.add().apply([input, input]) as tf.SymbolicTensor
    const frozen = await forInference(tf.model({ inputs: input, outputs: [input, doubled] }))
    const x = tf.tensor2d([[1, 2, 3]])
    const [same, twice] = frozen.predict(x)
    expect([...twice!.dataSync()]).toEqual([2, 4, 6])
    same!.dispose()
    expect([...x.dataSync()]).toEqual([1, 2, 3])
  })

  test('refuses other inputs with their shapes, and routes that were not asked for', async () => {
    const layer = patchMoE({ numExperts: 1, patchesPerExpert: 1, patchSize: 2, filters: 2 })
    const input = tf.input({ shape: [4, 4, 1], name: 'image' })
    const model = tf.model({ inputs: input, outputs: layer.apply(input) as tf.SymbolicTensor, name: 'small' })
    const frozen = await forInference(model)
    expect(() => frozen.predict(tf.zeros([2, 4, 5, 1]))).toThrow(
      'forInference: input image must be of shape [any, 4, 4, 1], got [2, 4, 5, 1]',
    )
    expect(() => frozen.predict([])).toThrow('forInference: inputs must be 1, got 0')
    expect(() => frozen.predictWithRoutes(tf.zeros([2, 4, 4, 1]))).toThrow(
      'forInference: routes must be true for predictWithRoutes, got false (small)',
    )
    await expect(forInference(model, { route: true } as object)).rejects.toThrow('route')
  })

  test.each(networkCases.slice(2, 7))('keeps as many patches as asked: $name', async ({ build }) => {
    const model = trained(build())
    const x = noise(model.inputs[0]!.shape, 3, 1)
    const most = mostPatchesPerExpert(model, '')
    const layers = routingLayers(model)!.layers
    const ofTraining = layers[0]!.patchesPerExpert
    for (const patchesPerExpert of [1, 7, most]) {
      const frozen = await forInference(model, { patchesPerExpert })
      expect(layers.map(layer => layer.patchesPerExpert)).toEqual(layers.map(() => ofTraining))
      setPatchesPerExpert(model, patchesPerExpert, '')
      const expected = model.predict(x, { batchSize: 3 }) as tf.Tensor
      setPatchesPerExpert(model, ofTraining, '')
      expect(difference(expected, frozen.predict(x)[0]?.dataSync() as Float32Array)).toBeLessThan(1e-5)
      frozen.dispose()
    }
  })

  test('refuses more patches than a layer has, and any where none are kept', async () => {
    const model = networkCases[2]!.build()
    await expect(forInference(model, { patchesPerExpert: 17 })).rejects.toThrow(
      /^forInference: patchesPerExpert must be an integer in \[1, 16\], got 17 \(layer patch_moe\S* of wide_resnet_10_1_pmoe chooses from 16 patches\)$/,
    )
    await expect(forInference(model, { patchesPerExpert: 1.5 })).rejects.toThrow('[1, 16], got 1.5')
    const dense = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [1] })], name: 'plain' })
    await expect(forInference(dense, { patchesPerExpert: 1 })).rejects.toThrow(
      'forInference: patchesPerExpert must be for a model with layers that keep patches of a map, got none in plain',
    )
  })

  test('a layer that cannot be frozen is named', async () => {
    const model = tf.sequential({
      layers: [tf.layers.lstm({ units: 2, inputShape: [4, 4], name: 'memory' })],
    })
    await expect(forInference(model)).rejects.toThrow('"memory" (1 of')
    await expect(forInference(model)).rejects.toThrow(UnsupportedModelError)
  })
})
