import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { readKerasConfig, readKerasLayers } from '../../src/export/weights/keras-file.js'
import { inNetworkOrder } from '../../src/export/weights/keras-order.js'
import { loadKerasWeights } from '../../src/export/weights/keras-weights.js'
import { matchLayers, type StoredLayer } from '../../src/export/weights/stored-layers.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

const folder = new URL('../goldens/keras/', import.meta.url)
const keras = (name: string) => new Uint8Array(gunzipSync(readFileSync(new URL(`${name}.gz`, folder))))
const { images, answers } = JSON.parse(readFileSync(new URL('nested.json', folder), 'utf8')) as {
  images: number[]
  answers: number[]
}

/** The network of `generate_nested.py`, its names after `prefix`. */
function network(prefix = ''): tf.LayersModel {
  const conv = (name: string, inputShape?: [number, number, number]) =>
    tf.layers.conv2d({
      filters: 2,
      kernelSize: 3,
      padding: 'same',
      activation: 'relu',
      name: prefix + name,
      ...(inputShape && { inputShape }),
    })
  const side: [number, number, number] = [4, 4, 2]
  const inner = tf.sequential({ name: `${prefix}inner`, layers: [conv('zeta', side), conv('alpha')] })
  const inside = tf.input({ shape: side })
  const norm = tf.layers.batchNormalization({ name: `${prefix}norm` })
  const mixed = inner.apply(norm.apply(conv('beta').apply(inside))) as tf.SymbolicTensor
  const gamma = conv('gamma').apply(mixed) as tf.SymbolicTensor
  const backbone = tf.model({ inputs: inside, outputs: gamma, name: `${prefix}backbone` })
  const image = tf.input({ shape: side })
  const last = conv('last').apply(backbone.apply(conv('first').apply(image)))
  const head = tf.layers.dense({ units: 3, name: `${prefix}head` })
  const y = head.apply(tf.layers.globalAveragePooling2d({}).apply(last) as tf.SymbolicTensor)
  return tf.model({ inputs: image, outputs: y as tf.SymbolicTensor, name: 'whole' })
}

function expectAnswers(model: tf.LayersModel): void {
  const y = model.predict(tf.tensor4d(images, [2, 4, 4, 2])) as tf.Tensor
  expectAllClose(y.dataSync(), answers, 1e-5, 0)
}

describe('weights of a Keras model with nested models, all convolutions of one shape', () => {
  test.each(['nested.h5', 'nested.weights.h5', 'half.h5'])('%s: go by name', async name => {
    const model = network()
    expect(await loadKerasWeights(model, keras(name), name)).toBe(8)
    expectAnswers(model)
  })

  test('go by the configuration of the network, where ours has other names and one is frozen', async () => {
    const model = network('our_')
    await loadKerasWeights(model, keras('nested.h5'), 'nested.h5')
    expectAnswers(model)
  })

  test('go from nested model to nested model, where .weights.h5 has numbers only', async () => {
    const model = network('our_')
    const layers = await readKerasLayers(keras('nested.weights.h5'), 'n')
    const numbered = layers.map(({ name, tensors }) => {
      const groups = name.split('/').filter(group => group !== 'layers')
      return { name, tensors, models: groups.slice(0, -1) }
    })
    for (const [name, tensor] of matchLayers(model, numbered, 'n')) write(model, name, tensor.data)
    expectAnswers(model)
    const config = await readKerasConfig(keras('nested.h5'), 'nested.h5')
    expect(inNetworkOrder(numbered, config).map(({ models = [], ownName }) => [...models, ownName])).toEqual([
      ['first'],
      ['backbone', 'beta'],
      ['backbone', 'norm'],
      ['backbone', 'inner', 'zeta'],
      ['backbone', 'inner', 'alpha'],
      ['backbone', 'gamma'],
      ['last'],
      ['head'],
    ])
  })

  test('a configuration that is not of the file changes nothing', async () => {
    const layers = await readKerasLayers(keras('half.h5'), 'half.h5')
    for (const config of [undefined, null, 5, {}, { config: { layers: [null, { class_name: 'Dense' }] } }])
      expect(inNetworkOrder(layers, config)).toEqual(layers)
  })

  test('name the layer of the nested model that does not fit, and change nothing', async () => {
    const model = network()
    const other = tf.sequential({
      name: 'backbone',
      layers: [tf.layers.conv2d({ filters: 3, kernelSize: 1, inputShape: [4, 4, 2], name: 'point' })],
    })
    const nested = tf.sequential({ layers: [other, tf.layers.flatten(), tf.layers.dense({ units: 3 })] })
    await expect(loadKerasWeights(nested, keras('half.h5'), 'half.h5')).rejects.toThrow(
      'half.h5: layer "backbone/point" must find weights of [1, 1, 2, 3] [3], got "first" of [3, 3, 2, 2] [2]',
    )
    await loadKerasWeights(model, keras('half.h5'), 'half.h5')
    expectAnswers(model)
  })
})

function write(model: tf.LayersModel, path: string, data: StoredLayer['tensors'][number]['data']): void {
  const [name, layer, ...models] = path.split('/').reverse() as [string, string, ...string[]]
  const owner = models
    .reverse()
    .reduce((inner, own) => inner.getLayer(own) as unknown as tf.LayersModel, model)
  const weight = owner.getLayer(layer).weights.find(({ originalName }) => originalName.endsWith(`/${name}`))
  weight?.write(tf.tensor(data as Float32Array, weight.shape as number[]))
}

test('bfloat16 and float16 of a Keras file are widened', async () => {
  const dense = async (name: string) => (await readKerasLayers(keras(name), name)).at(-1)?.tensors
  expect(await dense('bfloat16.weights.h5')).toEqual([
    { dtype: 'F32', shape: [2, 2], data: Float32Array.of(1, 2, 3, -0.5) },
    { dtype: 'F32', shape: [2], data: Float32Array.of(0.25, -1.5) },
  ])
  const [kernel, bias] = (await dense('half.h5')) ?? []
  expect([kernel?.dtype, kernel?.shape, bias?.shape]).toEqual(['F32', [2, 3], [3]])
  // The other order of bytes: multiples of 1/16 and no larger than 1, as they were stored.
  expect([...(kernel?.data ?? [])].every(value => Number.isInteger(Number(value) * 16))).toBe(true)
  expect(Math.max(...[...(kernel?.data ?? [])].map(value => Math.abs(Number(value))))).toBeLessThanOrEqual(1)
})

test('a nested model of one layer is found by name', () => {
  const conv = (value: number): Pick<StoredLayer, 'tensors'> => ({
    tensors: [{ dtype: 'F32', shape: [1, 1, 1, 1], data: Float32Array.of(value) }],
  })
  const layer = (name: string) =>
    tf.layers.conv2d({ filters: 1, kernelSize: 1, useBias: false, name, inputShape: [1, 1, 1] })
  const model = tf.sequential({
    layers: [tf.sequential({ name: 'backbone', layers: [layer('a')] }), layer('b')],
  })
  const stored: StoredLayer[] = [
    { name: 'b', ownName: 'b', ...conv(2) },
    {
      name: 'backbone',
      ownName: 'backbone',
      ...conv(1),
      parts: [{ name: 'backbone/a', ownName: 'a', models: ['backbone'], ...conv(1) }],
    },
  ]
  const matched = matchLayers(model, stored, 'f')
  expect([...matched].map(([name, { data }]) => [name, data[0]])).toEqual([
    ['backbone/a/kernel', 1],
    ['b/kernel', 2],
  ])
})
