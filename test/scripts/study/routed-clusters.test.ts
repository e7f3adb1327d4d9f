import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { routedClusters } from '../../../scripts/study/clusters/routed-clusters.js'
import { useBackend } from '../../../src/backend/choose.js'
import type { ImageSet } from '../../../src/data/image-set.js'
import { SampleMoE } from '../../../src/layers/moe/sample-moe.js'

beforeAll(async () => {
  await useBackend('wasm')
})

/** Samples of one patch of two numbers; the cluster of each. */
const samples: ImageSet<Float32Array> = {
  images: Float32Array.of(2, 0, 3, 0, 0, 4, 5, 1),
  labels: Int32Array.of(0, 1, 0, 1),
  count: 4,
  shape: [1, 1, 2],
  classNames: ['a', 'b'],
  groups: Int32Array.of(0, 0, 1, 1),
  groupNames: ['one', 'two'],
}

/** Three experts; expert 0 scores the first number, expert 1 the second, expert 2 less than any. */
function mixture(): tf.LayersModel {
  const input = tf.input({ shape: [1, 1, 2] })
  const layer = new SampleMoE({ numExperts: 3, outputs: 2, patchSize: 1, gate: 'raw', routingNoise: 0.5 })
  const model = tf.model({ inputs: input, outputs: layer.apply(input) as tf.SymbolicTensor })
  const [router] = layer.weights
  router!.write(tf.tensor4d([1, 0, -1, 0, 1, -1], [1, 1, 2, 3]))
  return model
}

describe('routedClusters', () => {
  it('counts which clusters go to which experts, and leaves no tensor', async () => {
    const model = mixture()
    const before = tf.memory().numTensors
    const clusters = routedClusters(model, { train: samples, test: samples, seed: 1 })!
    // Samples 0, 1 and 3 go to expert 0, sample 2 to expert 1: expert 0 has two of cluster one, one of cluster two.
    const mixed = -(2 / 3) * Math.log(2 / 3) - (1 / 3) * Math.log(1 / 3)
    const expected = {
      entropy: expect.closeTo((3 / 4) * mixed, 6),
      counts: [
        [2, 0, 0],
        [1, 1, 0],
      ],
      deadExperts: 1,
      negativeGates: 0,
    }
    expect(await clusters.test()).toEqual(expected)
    // Scores differ by more than the noise.
    expect(await clusters.noisyTest()).toEqual(expected)
    expect(await clusters.noisyTrain()).toEqual(expected)
    // Experts without weights answer 0 for both classes, and of equal ones the first is taken.
    tf.tidy(() => {
      const [, kernel, bias] = model.layers[1]!.weights
      for (const weight of [kernel!, bias!]) weight.write(tf.zeros(weight.shape as number[]))
    })
    expect(await clusters.noisyAccuracy()).toBe(0.5)
    clusters.dispose()
    expect(tf.memory().numTensors).toBe(before)
    model.dispose()
  })

  it('counts gates below 0', async () => {
    const model = mixture()
    model.layers[1]!.weights[0]!.write(tf.tensor4d([-1, -2, -3, 1, 0, 0], [1, 1, 2, 3]))
    const clusters = routedClusters(model, { train: samples, test: samples, seed: 1 })!
    // Scores of expert 0, the best of each: -2, -3, 4, -4.
    expect((await clusters.test()).negativeGates).toBe(0.75)
    clusters.dispose()
    model.dispose()
  })

  it('is of mixtures and of samples with clusters', () => {
    const dense = tf.sequential({ layers: [tf.layers.flatten({ inputShape: [1, 1, 2] })] })
    expect(routedClusters(dense, { train: samples, test: samples, seed: 1 })).toBeUndefined()
    const { groups: _, groupNames: __, ...plain } = samples
    const model = mixture()
    expect(() => routedClusters(model, { train: plain, test: plain, seed: 1 })).toThrow(
      new RangeError('study: samples must have clusters, got none'),
    )
    model.dispose()
  })
})
