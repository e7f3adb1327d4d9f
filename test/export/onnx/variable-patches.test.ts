import * as tf from '@tensorflow/tfjs'
import { beforeAll, expect, test } from 'vitest'
import { exportOnnx } from '../../../src/export/onnx/onnx.js'
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
  const { build } = mixtureCases.find(({ name }) => name === 'PatchExperts, product')!
  await expect(exportOnnx(build(), { variablePatches: true })).rejects.toThrow(
    'exportGraph: variablePatches must be for a model with layers that keep patches of a map, got none in ',
  )
})

test('L cannot be an input of a network without patches, or of one of 8 bits', async () => {
  const dense = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [1] })], name: 'plain' })
  await expect(exportOnnx(dense, { variablePatches: true })).rejects.toThrow(
    'exportGraph: variablePatches must be for a model with layers that keep patches of a map, got none in plain',
  )
  await expect(exportOnnx(dense, { variablePatches: true, quantize: {} })).rejects.toThrow(
    'exportOnnx: variablePatches must be left out with quantize, got true',
  )
})
