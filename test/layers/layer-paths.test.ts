import * as tf from '@tensorflow/tfjs'
import { beforeAll, expect, it } from 'vitest'
import { isNestedModel, placedLayers } from '../../src/layers/layer-paths.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(async () => {
  await useTestBackend()
})

it('lists layers with the names of the models around them, and at both places where they stand in two', () => {
  const dense = tf.layers.dense({ units: 2, inputShape: [2], name: 'dense' })
  const inner = tf.sequential({ name: 'inner', layers: [dense, tf.layers.reLU({ name: 'relu' })] })
  const outer = tf.sequential({ name: 'outer', layers: [inner] })
  const input = tf.input({ shape: [2], name: 'numbers' })
  const model = tf.model({ inputs: input, outputs: dense.apply(outer.apply(input)) as tf.SymbolicTensor })
  expect(placedLayers(model).map(({ path }) => path)).toEqual([
    'numbers',
    'outer/inner/dense',
    'outer/inner/relu',
    'dense',
  ])
  const [, first, , second] = placedLayers(model)
  expect([first?.layer, second?.layer]).toEqual([dense, dense])
  expect([first?.parent, second?.parent]).toEqual([inner, model])
  expect([isNestedModel(inner), isNestedModel(dense)]).toEqual([true, false])
})
