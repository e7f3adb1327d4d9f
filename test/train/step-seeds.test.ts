import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { stepSeeds } from '../../src/train/step-seeds.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(() => useTestBackend())

function dropoutModel(): tf.LayersModel {
  const inner = tf.sequential()
  inner.add(tf.layers.dropout({ rate: 0.5, inputShape: [40] }))
  const input = tf.input({ shape: [40] })
  const first = tf.layers.dropout({ rate: 0.5, seed: 3 }).apply(input) as tf.SymbolicTensor
  return tf.model({ inputs: input, outputs: [first, inner.apply(input) as tf.SymbolicTensor] })
}

function masks(model: tf.LayersModel): number[][] {
  return tf.tidy(() => {
    const outputs = model.apply(tf.ones([1, 40]), { training: true }) as tf.Tensor[]
    return outputs.map(output => [...output.dataSync()])
  })
}

describe('stepSeeds', () => {
  it('draws other masks in each step and layer, and the same ones again', () => {
    const model = dropoutModel()
    const seeds = stepSeeds(model, 7, 'test')
    seeds.use(0)
    const [first, inner] = masks(model)
    expect(new Set(first)).toEqual(new Set([0, 2]))
    expect(inner).not.toEqual(first)
    seeds.use(1)
    expect(masks(model)[0]).not.toEqual(first)
    seeds.use(0)
    expect(masks(model)).toEqual([first, inner])
  })

  it('restores the seeds that layers had', () => {
    const model = dropoutModel()
    const seeds = stepSeeds(model, 7, 'test')
    const before = masks(model)[0]
    seeds.use(5)
    expect(masks(model)[0]).not.toEqual(before)
    seeds.restore()
    expect(masks(model)[0]).toEqual(before)
  })
})
