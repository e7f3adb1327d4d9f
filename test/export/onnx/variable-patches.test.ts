import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, test } from 'vitest'
import { exportOnnx } from '../../../src/export/onnx/onnx.js'
import { type CalibrationOptions, calibrate } from '../../../src/inference/calibration.js'
import { patchMoE } from '../../../src/layers/moe/patch-moe.js'
import { mostPatchesPerExpert, setPatchesPerExpert } from '../../../src/layers/moe/routing-layers.js'
import { useTestBackend } from '../../backend-under-test.js'
import { mixtureCases, networkCases, noise, trained } from '../exported-models.js'
import { decodeOnnx, difference, runOnnx } from '../run-onnx.js'

beforeAll(async () => {
  await useTestBackend()
})

const ofPatches = [...networkCases.slice(2, 7), ...mixtureCases].filter(
  ({ name }) => !/sample|PatchExperts/i.test(name),
)

function answer(bytes: Uint8Array, model: tf.LayersModel, x: tf.Tensor, count: number) {
  const inputs = { [model.inputNames[0] as string]: x, patches_per_expert: tf.scalar(count, 'int32') }
  return runOnnx(bytes, inputs).then(outputs => outputs[model.outputNames[0] as string]!.data)
}

test.each(ofPatches)('one file answers as the layers do with any L: $name', async ({ build }) => {
  const model = trained(build())
  const { bytes } = await exportOnnx(model, { variablePatches: true })
  const most = mostPatchesPerExpert(model, '')
  const x = noise(model.inputs[0]!.shape, 3, 1)
  for (const count of new Set([1, Math.min(3, most), most])) {
    setPatchesPerExpert(model, count, '')
    const y = model.predict(x, { batchSize: 3 }) as tf.Tensor
    expect(difference(y, await answer(bytes, model, x, count))).toBeLessThan(1e-5)
  }
})

test('an L above the patches, 0 or below is an error of the runtime that says the numbers', async () => {
  const model = trained(networkCases[2]!.build())
  const { bytes } = await exportOnnx(model, { variablePatches: true })
  const x = noise(model.inputs[0]!.shape, 1, 1)
  await expect(answer(bytes, model, x, 17)).rejects.toThrow(
    /idx=17 must be within the inclusive range \[-17,16\]/,
  )
  await expect(answer(bytes, model, x, 0)).rejects.toThrow(/k must not be negative|value of k/)
  await expect(answer(bytes, model, x, -3)).rejects.toThrow(/k must not be negative|value of k/)
})

test('the file says what its input is, and has none unless asked', async () => {
  const model = networkCases[2]!.build()
  const decoded = await decodeOnnx((await exportOnnx(model, { variablePatches: true })).bytes)
  expect(decoded.graph.input.map(({ name }) => name)).toEqual([model.inputNames[0], 'patches_per_expert'])
  const inputs = decoded.metadataProps.find(({ key }) => key === 'inputs')!.value
  expect(JSON.parse(inputs).patches_per_expert).toEqual({
    axes: '',
    dtype: 'int',
    meaning: 'patches that each expert keeps, at least 1',
  })
  const plain = await decodeOnnx((await exportOnnx(model)).bytes)
  expect(plain.graph.input).toHaveLength(1)
})

test('L cannot be an input where experts are networks on patches', async () => {
  const model = mixtureCases.find(({ name }) => name === 'PatchExperts, product')!.build()
  const [experts] = model.layers.filter(layer => layer.getClassName() === 'PatchExperts')
  await expect(exportOnnx(model, { variablePatches: true })).rejects.toThrow(
    'exportGraph: variablePatches must be for a model with layers that keep patches of a map, got none in ' +
      `${model.name} (layer ${experts?.name}, a PatchExperts, keeps as many as in training)`,
  )
})

describe.each([networkCases[2]!, networkCases[4]!])('of narrow numbers: $name', ({ build }) => {
  const largest = async (bytes: Uint8Array, model: tf.LayersModel, x: tf.Tensor) => {
    const most = mostPatchesPerExpert(model, '')
    const differences: number[] = []
    for (const count of [1, 2, most]) {
      setPatchesPerExpert(model, count, '')
      const y = model.predict(x, { batchSize: 8 }) as tf.Tensor
      differences.push(difference(y, await answer(bytes, model, x, count)))
    }
    return Math.max(...differences)
  }

  test('int8, calibrated over all L, answers nearly as the layers do', async () => {
    const model = trained(build())
    const x = noise(model.inputs[0]!.shape, 8, 1)
    const quantize = await calibrate(model, [[x]], { variablePatches: true })
    const { bytes } = await exportOnnx(model, { variablePatches: true, quantize })
    expect(await largest(bytes, model, x)).toBeLessThan(0.02)
  })

  test('float16, too', async () => {
    const model = trained(build())
    const x = noise(model.inputs[0]!.shape, 8, 1)
    const { bytes } = await exportOnnx(model, { variablePatches: true, quantize: 'float16' })
    expect(await largest(bytes, model, x)).toBeLessThan(0.005)
  })
})

test('calibration over all L sees what experts of more patches are given', async () => {
  const options = { numExperts: 1, patchesPerExpert: 1, patchSize: 1, filters: 1, kernelSize: 1 } as const
  const layer = patchMoE({ ...options, gate: 'uniform', preActivation: 'none', name: 'mixture' })
  const input = tf.input({ shape: [1, 2, 1], name: 'x' })
  const flat = tf.layers.flatten().apply(layer.apply(input)) as tf.SymbolicTensor
  const outputs = tf.layers.dense({ units: 1 }).apply(flat) as tf.SymbolicTensor
  const model = tf.model({ inputs: input, outputs, name: 'two_pixels' })
  model.setWeights([tf.ones([1, 1, 1, 1]), tf.ones([1, 1, 1, 1]), tf.ones([2, 1]), tf.zeros([1])])
  const batches = [[tf.tensor4d([-1, 5], [1, 1, 2, 1])]]
  const ofExperts = async (options: CalibrationOptions) =>
    Object.entries(await calibrate(model, batches, options)).flatMap(([name, range]) =>
      name.startsWith('mixture') ? [range] : [],
    )
  // The larger pixel alone, then both.
  expect(await ofExperts({})).toEqual([[0, 5]])
  expect(await ofExperts({ variablePatches: true })).toEqual([[-1, 5]])
  const dense = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [1] })], name: 'plain' })
  await expect(calibrate(dense, [], { variablePatches: true })).rejects.toThrow(
    'exportGraph: variablePatches must be for a model with layers that keep patches of a map, got none in plain',
  )
})

test('L cannot be an input of a network without patches', async () => {
  const dense = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [1] })], name: 'plain' })
  await expect(exportOnnx(dense, { variablePatches: true })).rejects.toThrow(
    'exportGraph: variablePatches must be for a model with layers that keep patches of a map, got none in plain',
  )
})
