import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { StoredTensor } from '../../../src/data/formats/safetensors.js'
import { transposed } from '../../../src/export/graph/transposed.js'
import { loadTorchWeights } from '../../../src/export/weights/torch-weights.js'
import { loadWeights, modelWeights } from '../../../src/export/weights/weights.js'
import { expectAllClose } from '../../all-close.js'
import { useTestBackend } from '../../backend-under-test.js'
import { trained } from '../exported-models.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

describe('weights of PyTorch', () => {
  const names = { stem: 'conv', norm: 'bn', 'deep.wise': 'depth', head: 'logits' }

  function network(): tf.LayersModel {
    return trained(
      tf.sequential({
        name: 'net',
        layers: [
          tf.layers.conv2d({ filters: 4, kernelSize: [2, 3], inputShape: [6, 6, 2], name: 'conv' }),
          tf.layers.batchNormalization({ name: 'bn' }),
          tf.layers.depthwiseConv2d({ kernelSize: 2, depthMultiplier: 3, name: 'depth' }),
          tf.layers.globalAveragePooling2d({}),
          tf.layers.dense({ units: 5, name: 'logits' }),
        ],
      }),
      4,
    )
  }

  /** The same weights as PyTorch keeps them. */
  async function checkpoint(model: tf.LayersModel): Promise<Map<string, StoredTensor>> {
    const own = await modelWeights(model)
    const turned = (name: string, order: readonly number[], shape?: readonly number[]): StoredTensor => {
      const { data, shape: sides } = own.get(name) as StoredTensor & { data: Float32Array }
      const flat = transposed({ data, shape: shape ?? sides }, order)
      return { dtype: 'F32', shape: flat.shape, data: flat.data as Float32Array }
    }
    return new Map<string, StoredTensor>([
      ['stem.weight', turned('conv/kernel', [3, 2, 0, 1])],
      ['stem.bias', own.get('conv/bias')!],
      ['norm.weight', own.get('bn/gamma')!],
      ['norm.bias', own.get('bn/beta')!],
      ['norm.running_mean', own.get('bn/moving_mean')!],
      ['norm.running_var', own.get('bn/moving_variance')!],
      ['norm.num_batches_tracked', { dtype: 'I64', shape: [], data: BigInt64Array.of(7n) }],
      ['deep.wise.weight', turned('depth/depthwise_kernel', [3, 2, 0, 1], [2, 2, 1, 12])],
      ['deep.wise.bias', own.get('depth/bias')!],
      ['head.weight', turned('logits/kernel', [1, 0])],
      ['head.bias', own.get('logits/bias')!],
    ])
  }

  test('are turned and named: the network answers as the one that they came from', async () => {
    const model = network()
    const tensors = await checkpoint(model)
    expect(tensors.get('stem.weight')?.shape).toEqual([4, 2, 2, 3])
    expect(tensors.get('deep.wise.weight')?.shape).toEqual([12, 1, 2, 2])
    const twin = trained(network(), 9)
    loadTorchWeights(twin, tensors, names, 'c.safetensors')
    const x = tf.randomUniform([2, 6, 6, 2], 0, 1, 'float32', 1)
    expectAllClose(
      (twin.predict(x) as tf.Tensor).dataSync(),
      (model.predict(x) as tf.Tensor).dataSync(),
      0,
      0,
    )
  })

  test.each(['module.', 'state_dict.model.', '_orig_mod.net.'])(
    'may have %s before all names, or before some',
    async prefix => {
      const model = network()
      const tensors = await checkpoint(model)
      const before = await modelWeights(model)
      const answer = (net: tf.LayersModel) =>
        (net.predict(tf.randomUniform([1, 6, 6, 2], 0, 1, 'float32', 1)) as tf.Tensor).dataSync()
      for (const isWrapped of [() => true, (name: string) => !name.startsWith('head')]) {
        const wrapped = [...tensors].map(([name, tensor]): [string, StoredTensor] => [
          isWrapped(name) ? prefix + name : name,
          tensor,
        ])
        const twin = trained(network(), 9)
        loadTorchWeights(twin, new Map(wrapped), names, 'c')
        expect(answer(twin)).toEqual(answer(model))
        const own = [...before].map(([name, tensor]): [string, StoredTensor] => [prefix + name, tensor])
        const other = trained(network(), 10)
        loadWeights(other, new Map(own), 'c')
        expect(answer(other)).toEqual(answer(model))
      }
    },
  )

  test('a pair may name one weight', async () => {
    const model = network()
    const tensors = await checkpoint(model)
    tensors.set('w', tensors.get('head.weight') as StoredTensor)
    tensors.delete('head.weight')
    loadTorchWeights(model, tensors, { ...names, w: 'logits/kernel' }, 'c')
  })

  test('what has no name, no place, another shape or type, or comes twice, is named', async () => {
    const model = network()
    const tensors = await checkpoint(model)
    const load = (more: Record<string, StoredTensor>, map: Record<string, string> = names) =>
      loadTorchWeights(model, new Map([...tensors, ...Object.entries(more)]), map, 'c')
    const scalar: StoredTensor = { dtype: 'F32', shape: [1], data: Float32Array.of(1) }
    expect(() => load({ 'extra.weight': scalar })).toThrow(
      'c: tensor "extra.weight" must be named after a weight of net, got no pair of names for it',
    )
    expect(() => load({ 'extra.scale': scalar }, { ...names, extra: 'logits' })).toThrow(
      'c: tensor "extra.scale" must be named after a weight of net, got "logits/scale", which it does not have',
    )
    expect(() => load({ again: scalar }, { ...names, again: 'logits/bias' })).toThrow(
      'c: weight "logits/bias" must come once, got it again as "again"',
    )
    const wide: StoredTensor = { dtype: 'F32', shape: [5, 3], data: new Float32Array(15) }
    expect(() => load({ 'head.weight': wide })).toThrow(
      'c: tensor "head.weight" must have the shape [12, 5] once turned, got [3, 5] (stored as [5, 3])',
    )
    expect(() => load({ 'head.bias': scalar })).toThrow(
      'c: tensor "head.bias" must have the shape [5], got [1] (stored as [1])',
    )
    const whole: StoredTensor = { dtype: 'I32', shape: [5], data: new Int32Array(5) }
    expect(() => load({ 'head.bias': whole })).toThrow('c: tensor "head.bias" must hold floats, got I32')
  })
})
