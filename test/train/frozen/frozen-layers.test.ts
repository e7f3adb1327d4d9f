import * as tf from '@tensorflow/tfjs'
import { beforeAll, expect, it } from 'vitest'
import { patchMoE } from '../../../src/layers/moe/patch-moe.js'
import { freezeLayers } from '../../../src/train/frozen/frozen-layers.js'
import { train } from '../../../src/train/loop.js'
import { useTestBackend } from '../../backend-under-test.js'
import { brightRows, denseModel, historyOf } from '../tasks.js'

beforeAll(() => useTestBackend())

const options = {
  train: brightRows(24, 3, 1),
  test: brightRows(24, 3, 2),
  epochs: 2,
  batchSize: 8,
  optimizer: { name: 'momentum', learningRate: 0.1 },
  seed: 5,
} as const

const valuesOf = (layer: tf.layers.Layer) => layer.getWeights().map(weight => [...weight.dataSync()])

it('keeps the weights and statistics of frozen layers, trains the others and gives the flags back', async () => {
  const model = denseModel({ normalized: true })
  const [, dense, norm, logits] = model.layers as [
    tf.layers.Layer,
    tf.layers.Layer,
    tf.layers.Layer,
    tf.layers.Layer,
  ]
  norm.setWeights([1, 0, 0.5, 2].map(value => tf.fill([8], value)))
  const before = [dense, norm, logits].map(valuesOf)
  await historyOf(train(model, { ...options, freeze: [dense.name, norm.name] }))
  expect([dense, norm].map(valuesOf)).toEqual(before.slice(0, 2))
  expect(valuesOf(logits)).not.toEqual(before[2])
  expect([dense.trainable, norm.trainable, model.trainableWeights.length]).toEqual([true, true, 6])
  // It follows its batches again.
  await historyOf(train(model, { ...options, bnStatistics: 'moving' }))
  expect(valuesOf(norm)[2]).not.toEqual(before[1]?.[2])
})

it('has frozen normalization compute in training what it computes in an evaluation', () => {
  const input = tf.input({ shape: [4, 4, 2] })
  const norm = tf.layers.batchNormalization({ name: 'norm' })
  const experts = patchMoE({
    filters: 2,
    numExperts: 1,
    patchesPerExpert: 2,
    patchSize: 2,
    kernelSize: 1,
    preActivation: 'batch-norm-relu',
    name: 'experts',
  })
  const outputs = experts.apply(norm.apply(input)) as tf.SymbolicTensor
  const model = tf.model({ inputs: input, outputs })
  const x = tf.randomUniform([3, 4, 4, 2], 1, 2, 'float32', 7)
  const apply = (training: boolean) =>
    tf.tidy(() => [...(model.apply(x, { training }) as tf.Tensor).dataSync()])
  const weights = () => model.layers.flatMap(valuesOf)
  const evaluated = apply(false)
  const before = weights()
  const frozen = freezeLayers(model, { freeze: ['norm', 'experts'] })
  expect(apply(true)).toEqual(evaluated)
  expect(weights()).toEqual(before)
  frozen.restore()
  expect(apply(true)).not.toEqual(evaluated)
  expect(weights()).not.toEqual(before)
  x.dispose()
  model.dispose()
})

it('counts layers as frozen whose flag is off, and gives single weights their flags back', () => {
  const model = denseModel({ normalized: true })
  const norm = model.layers[2] as tf.layers.Layer
  norm.trainable = false
  const [gamma] = norm.weights
  const frozen = freezeLayers(model, {})
  expect(Object.hasOwn(norm, 'call')).toBe(true)
  frozen.restore()
  expect([Object.hasOwn(norm, 'call'), norm.trainable, gamma?.trainable]).toEqual([false, false, false])
  const dense = model.layers[1] as tf.layers.Layer
  const [, bias] = dense.weights as [tf.LayerVariable, tf.LayerVariable]
  bias.trainable = false
  freezeLayers(model, { freeze: [dense.name] }).restore()
  expect(dense.weights.map(({ trainable }) => trainable).sort()).toEqual([false, true])
  model.dispose()
})

it('freezes nothing where a pattern matches nothing, and refuses to train nothing', async () => {
  const model = denseModel()
  const dense = (model.layers[1] as tf.layers.Layer).name
  await expect(historyOf(train(model, { ...options, freeze: [dense, 'nothing'] }))).rejects.toThrow(
    'train: freeze must match a layer with weights, got "nothing"',
  )
  expect(model.trainableWeights.length).toBe(4)
  await expect(historyOf(train(model, { ...options, freeze: ['*'] }))).rejects.toThrow(
    'train: model must have trainable weights, got 0 (of 4 weights, which are frozen by freeze *)',
  )
  expect(model.trainableWeights.length).toBe(4)
})
