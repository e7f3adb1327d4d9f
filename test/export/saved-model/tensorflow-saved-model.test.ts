import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type BackendChoice, useBackend } from '../../../src/backend/choose.js'
import { loadSavedModel, savedModelInputs } from '../../../src/backend/tensorflow/saved-model.js'
import { exportSavedModel, type SavedModelOptions } from '../../../src/export/saved-model/saved-model.js'
import { mostPatchesPerExpert, setPatchesPerExpert } from '../../../src/layers/moe/routing-layers.js'
import {
  damagedImages,
  hasNaN,
  layerCases,
  mixtureCases,
  networkCases,
  noise,
  tangled,
  trained,
} from '../exported-models.js'
import { channelsFirst } from '../run-onnx.js'

let backend: BackendChoice
let folder: string

beforeAll(async () => {
  backend = await useBackend('tensorflow')
  folder = await mkdtemp(join(tmpdir(), 'saved-model-'))
})
afterAll(() => rm(folder, { recursive: true }))
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

/** Writes a SavedModel, loads it in TensorFlow and runs it. */
async function answers(
  model: tf.LayersModel,
  inputs: Readonly<Record<string, tf.Tensor>>,
  options: SavedModelOptions = {},
): Promise<tf.NamedTensorMap> {
  const { bytes } = await exportSavedModel(model, options)
  await writeFile(join(folder, 'saved_model.pb'), bytes)
  const loaded = await loadSavedModel(backend.tensorflow!, folder)
  try {
    return loaded.predict({ ...inputs })
  } finally {
    loaded.dispose()
  }
}

function farthest(a: tf.Tensor, b: tf.Tensor): number {
  expect(a.shape).toEqual(b.shape)
  return tf.max(tf.abs(tf.sub(a, b))).dataSync()[0] as number
}

describe('a SavedModel in TensorFlow answers as in tfjs', () => {
  test.each([...networkCases, ...mixtureCases])('$name', async ({ build }) => {
    const model = trained(build())
    const [input, output] = [model.inputNames[0] as string, model.outputNames[0] as string]
    for (const batch of [1, 3]) {
      const x = noise(model.inputs[0]?.shape ?? [], batch, batch)
      const y = model.predict(x, { batchSize: batch }) as tf.Tensor
      expect(farthest((await answers(model, { [input]: x }))[output]!, y)).toBeLessThan(1e-5)
    }
  })

  test.each(mixtureCases)('with NaN wherever a number that is not finite lies: $name', async ({ build }) => {
    const model = trained(build())
    const x = damagedImages(model.inputs[0]?.shape ?? [])
    const batch = x.shape[0] as number
    const outputs = await answers(model, { [model.inputNames[0] as string]: x })
    const data = outputs[model.outputNames[0] as string]!.dataSync() as Float32Array
    expect(hasNaN(data, batch)).toEqual(Array.from({ length: batch }, (_, i) => i < batch - 1))
  })

  test.each(Object.entries(layerCases))('%s', async (_, builds) => {
    for (const build of builds) {
      const model = trained(build())
      const x = noise(model.inputs[0]?.shape ?? [], 2, 1)
      const outputs = await answers(model, { [model.inputNames[0] as string]: x })
      const y = model.predict(x) as tf.Tensor
      expect(farthest(outputs[model.outputNames[0] as string]!, y)).toBeLessThan(2e-5)
    }
  })

  test('of bytes, channels first', async () => {
    const model = trained(networkCases[2]!.build())
    const x = noise([null, 32, 32, 3], 2, 7)
    const pixels = channelsFirst(x.mul(255).round().toInt())
    const outputs = await answers(model, { image: pixels }, { layout: 'nchw', pixels: 'uint8' })
    expect(farthest(outputs.probabilities!, model.predict(x) as tf.Tensor)).toBeLessThan(1e-5)
  })

  test('with two inputs and outputs, a nested model and a shared layer', async () => {
    const model = trained(tangled())
    const [left, right] = [noise([null, 6, 6, 2], 3, 1), noise([null, 6, 6, 2], 3, 2)]
    const [sum, joined] = model.predict([left, right]) as [tf.Tensor, tf.Tensor]
    const outputs = await answers(model, { left, right })
    expect(farthest(outputs.sum!, sum)).toBeLessThan(1e-5)
    expect(farthest(outputs.joined!, joined)).toBeLessThan(1e-5)
  })
})

describe('L as an input', () => {
  const ofPatches = [...networkCases.slice(2, 7), ...mixtureCases].filter(
    ({ name }) => !/sample|PatchExperts/i.test(name),
  )

  test.each(ofPatches)('answers as the layers do with any L: $name', async ({ build }) => {
    const model = trained(build())
    const [input, output] = [model.inputNames[0] as string, model.outputNames[0] as string]
    const most = mostPatchesPerExpert(model, '')
    const x = noise(model.inputs[0]?.shape ?? [], 3, 1)
    for (const count of new Set([1, Math.min(3, most), most])) {
      setPatchesPerExpert(model, count, '')
      const y = model.predict(x, { batchSize: 3 }) as tf.Tensor
      const inputs = { [input]: x, patches_per_expert: tf.scalar(count, 'int32') }
      const outputs = await answers(model, inputs, { variablePatches: true })
      expect(farthest(outputs[output]!, y)).toBeLessThan(1e-5)
    }
  })

  test('above the patches, 0 or below is an error of TensorFlow', async () => {
    const model = trained(networkCases[2]!.build())
    const x = noise(model.inputs[0]?.shape ?? [], 1, 1)
    for (const [count, message] of [
      [17, /17 is not in \[0, 17\)/],
      [0, /-1 is not in \[0, 17\)|k >= 0/],
      [-3, /-3 is not in \[0, 17\)|k >= 0/],
    ] as const) {
      const inputs = { image: x, patches_per_expert: tf.scalar(count, 'int32') }
      await expect(answers(model, inputs, { variablePatches: true })).rejects.toThrow(message)
    }
  })
})

describe('kernels of float16', () => {
  test.each([0, 2, 3, 4].map(i => networkCases[i]!))(
    'answer nearly as in tfjs, in half of the bytes: $name',
    async ({ build }) => {
      const model = trained(build())
      const [input, output] = [model.inputNames[0] as string, model.outputNames[0] as string]
      const x = noise(model.inputs[0]?.shape ?? [], 8, 1)
      const y = model.predict(x, { batchSize: 8 }) as tf.Tensor
      const half = (await answers(model, { [input]: x }, { quantize: 'float16' }))[output]!
      expect(farthest(half, y)).toBeLessThan(0.005)
      expect(farthest(half, y)).toBeGreaterThan(0)
      const { bytes, inFloat } = await exportSavedModel(model, { quantize: 'float16' })
      expect(bytes.length).toBeLessThan(0.75 * (await exportSavedModel(model)).bytes.length)
      const routers = inFloat?.filter(({ why }) => why === 'a router, whose choices must stay the same')
      expect(inFloat).toEqual(routers)
    },
  )

  test('with L as an input', async () => {
    const model = trained(networkCases[4]!.build())
    const x = noise(model.inputs[0]?.shape ?? [], 2, 1)
    setPatchesPerExpert(model, 2, '')
    const y = model.predict(x) as tf.Tensor
    const inputs = { [model.inputNames[0] as string]: x, patches_per_expert: tf.scalar(2, 'int32') }
    const outputs = await answers(model, inputs, { variablePatches: true, quantize: 'float16' })
    expect(farthest(outputs[model.outputNames[0] as string]!, y)).toBeLessThan(0.005)
  })
})

test('a folder without a SavedModel is refused', async () => {
  const empty = await mkdtemp(join(tmpdir(), 'no-model-'))
  await expect(loadSavedModel(backend.tensorflow!, empty)).rejects.toThrow(/saved_model\.pb/i)
  await rm(empty, { recursive: true })
})

test('the inputs of a signature are known without loading the graph', async () => {
  const model = trained(networkCases[0]!.build())
  const { bytes } = await exportSavedModel(model, { layout: 'nchw', pixels: 'uint8' })
  await writeFile(join(folder, 'saved_model.pb'), bytes)
  expect(await savedModelInputs(backend.tensorflow!, folder)).toEqual([
    { name: model.inputNames[0], shape: [null, 3, 32, 32], type: 'DT_UINT8' },
  ])
  // The same model under another signature: names in protobuf are bytes of their length.
  const renamed = Buffer.from(bytes).toString('latin1').replaceAll('serving_default', 'serving_another')
  await writeFile(join(folder, 'saved_model.pb'), Buffer.from(renamed, 'latin1'))
  await expect(savedModelInputs(backend.tensorflow!, folder)).rejects.toThrow(
    `savedModelInputs: ${folder} must have a signature serving_default, got none`,
  )
})
