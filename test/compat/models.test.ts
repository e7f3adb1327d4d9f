import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, test } from 'vitest'
import { readSafetensors } from '../../src/data/formats/safetensors.js'
import { fileSystem } from '../../src/files/model-files.js'
import '../../src/index.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { everyLayer } from './every-layer.js'
import { writtenFolders } from './written.js'

beforeAll(async () => {
  await useTestBackend()
})

describe.each(writtenFolders)('models $name', ({ folder }) => {
  const models = join(folder, 'models')

  test.each(readdirSync(models))('%s computes the same outputs', async name => {
    const directory = join(models, name)
    const { tensors } = readSafetensors(readFileSync(join(directory, 'outputs.safetensors')), name)
    const stored = (key: string) => {
      const tensor = tensors.get(key)
      if (!tensor) throw new Error(`${name} has no tensor ${key}`)
      return tensor
    }
    const model = await tf.loadLayersModel(fileSystem(directory))
    const { data, shape } = stored('maps')
    const outputs = [model.predict(tf.tensor(data as Float32Array, [...shape]))].flat() as tf.Tensor[]
    expect(outputs).toHaveLength(tensors.size - 1)
    for (const [i, output] of outputs.entries()) {
      const expected = stored(model.outputNames[i] as string)
      expect(output.shape).toEqual(expected.shape)
      // Backends round differently: 1e-4 of a number, or 1e-5.
      expectAllClose(output.dataSync(), expected.data as Float32Array, 1e-4, 1e-5)
    }
  })

  test('a layer has the options that it was saved with', async () => {
    const saved = await tf.loadLayersModel(fileSystem(join(models, 'every-layer')))
    const made = everyLayer()
    for (const layer of saved.layers.slice(1)) {
      expect(layer.getConfig()).toMatchObject(made.getLayer(layer.name).getConfig())
    }
  })
})
