import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { ImageSet } from '../../src/data/image-set.js'
import { type ImageStream, streamOf } from '../../src/data/image-stream.js'
import { twoLayerExperts } from '../../src/layers/moe/two-layer-experts.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { expertScores } from '../../src/prune/index.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { applied, fillWeights } from '../models/example-models.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

function images(side: number, channels: number): ImageSet {
  const count = 5
  const values = Array.from({ length: count * side * side * channels }, (_, i) => Math.sin(i * i))
  return {
    images: Float32Array.from(values),
    labels: Int32Array.from([0, 1, 2, 0, 1]),
    count,
    shape: [side, side, channels],
    classNames: ['a', 'b', 'c'],
  }
}

function tensorOf({ images: values, count, shape }: ImageSet): tf.Tensor {
  return tf.tensor(values as Float32Array, [count, ...shape])
}

/** Means over images of what is measured of each, (count,K). */
function means(rows: tf.Tensor): ArrayLike<number> {
  return tf.mean(rows, 0).dataSync()
}

/** Each image's own cross-entropy, summed. */
function lossSum(logits: tf.Tensor, { labels }: ImageSet): tf.Scalar {
  const truth = tf.cast(tf.oneHot(tf.tensor1d(labels, 'int32'), 3), 'float32')
  return tf.neg(tf.sum(tf.mul(truth, tf.logSoftmax(logits))))
}

describe('expertScores', () => {
  it('takes the share of the output that an expert of TwoLayerExperts adds', async () => {
    const layer = twoLayerExperts({
      name: 'experts',
      numExperts: 3,
      patchesPerExpert: 2,
      patchSize: 2,
      hiddenUnits: 6,
      outputs: 3,
    })
    const image = tf.input({ shape: [4, 4, 2] })
    const model = fillWeights(tf.model({ inputs: image, outputs: applied(layer, image) }))
    const set = images(4, 2)
    const scores = await expertScores(model, {
      criteria: ['activation-norm', 'taylor'],
      data: set,
      batchSize: 2,
    })

    const x = tensorOf(set)
    const slopes = tf.grad((logits: tf.Tensor) => lossSum(logits, set))(model.predict(x) as tf.Tensor)
    const [router, kernel, head] = layer.getWeights().map(weight => weight.clone()) as [
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
    ]
    // The experts one by one: the rows of the head that belong to the others are 0.
    const alone = [0, 1, 2].map(expert => {
      const mask = [0, 0, 1, 1, 2, 2].map(owner => [owner === expert ? 1 : 0])
      layer.setWeights([router, kernel, tf.mul(head, tf.tensor2d(mask))])
      return model.predict(x) as tf.Tensor
    })
    const norms = tf.stack(
      alone.map(output => tf.norm(output, 2, 1)),
      1,
    )
    expectAllClose(scores['activation-norm'].scores, means(norms))
    const changes = tf.stack(
      alone.map(output => tf.abs(tf.sum(tf.mul(output, slopes), 1))),
      1,
    )
    expectAllClose(scores.taylor.scores, means(changes), 1e-3)
  })

  it("takes the convolution of each branch in variant 'authors'", async () => {
    const pmoe = { numExperts: 4, patchesPerExpert: 2, patchSize: 2 }
    const model = fillWeights(
      wideResNet({ inputShape: [16, 16, 1], numClasses: 3, widenFactor: 1, pmoe, variant: 'authors' }),
    )
    const set = images(16, 1)
    const criteria = [
      'activation-norm',
      'taylor',
      'gate-mass',
      'expert-magnitude',
      'router-magnitude',
    ] as const
    const scores = await expertScores(model, { criteria, data: set, batchSize: 3 })

    const x = tensorOf(set)
    const experts = [1, 2, 3, 4]
    const map = tf.model({
      inputs: model.inputs,
      outputs: model.getLayer('experts').output as tf.SymbolicTensor,
    })
    const y = map.predict(x) as tf.Tensor4D
    const slopes = tf.grad((values: tf.Tensor) => {
      const behind = ['final_bn', 'final_relu', 'pool', 'logits'].map(name => model.getLayer(name))
      const logits = behind.reduce((tensor, layer) => layer.apply(tensor) as tf.Tensor, values)
      return lossSum(logits, set)
    })(y)
    const ofExpert = (values: tf.Tensor, expert: number) =>
      tf.reshape(tf.split(values, 4, 3)[expert - 1] as tf.Tensor, [5, -1])
    const norms = tf.stack(
      experts.map(expert => tf.norm(ofExpert(y, expert), 2, 1)),
      1,
    )
    expectAllClose(scores['activation-norm'].scores, means(norms))
    const products = tf.mul(y, slopes)
    const changes = tf.stack(
      experts.map(expert => tf.abs(tf.sum(ofExpert(products, expert), 1))),
      1,
    )
    expectAllClose(scores.taylor.scores, means(changes), 1e-3)
    const norm = (layer: string) =>
      tf.norm(model.getLayer(layer).getWeights()[0] as tf.Tensor).dataSync()[0] as number
    expectAllClose(
      scores['expert-magnitude'].scores,
      experts.map(expert => norm(`expert${expert}_conv`)),
    )
    expectAllClose(
      scores['router-magnitude'].scores,
      experts.map(expert => norm(`expert${expert}_gate`)),
    )
    for (const mass of scores['gate-mass'].scores) {
      expect(mass).toBeGreaterThan(0)
      expect(mass).toBeLessThanOrEqual(1)
    }
  })

  it('gives the same for a stream as for a set, and random numbers by the seed', async () => {
    const layer = twoLayerExperts({
      numExperts: 3,
      patchesPerExpert: 2,
      patchSize: 2,
      hiddenUnits: 6,
      outputs: 3,
    })
    const image = tf.input({ shape: [4, 4, 2] })
    const model = fillWeights(tf.model({ inputs: image, outputs: applied(layer, image) }))
    const set = images(4, 2)
    const stream: ImageStream = streamOf(set)
    const criteria = ['taylor', 'coverage', 'random'] as const
    const ofSet = await expertScores(model, { criteria, data: set })
    expect(await expertScores(model, { criteria, data: stream })).toEqual(ofSet)
    const other = await expertScores(model, { criteria: ['random'], seed: 1 })
    expect(other.random.scores).not.toEqual(ofSet.random.scores)
  })

  it('stops at an abort', async () => {
    const layer = twoLayerExperts({
      numExperts: 2,
      patchesPerExpert: 2,
      patchSize: 2,
      hiddenUnits: 2,
      outputs: 3,
    })
    const image = tf.input({ shape: [4, 4, 2] })
    const model = tf.model({ inputs: image, outputs: applied(layer, image) })
    const signal = AbortSignal.abort(new Error('enough'))
    const options = { criteria: ['coverage'], data: images(4, 2), signal } as const
    await expect(expertScores(model, options)).rejects.toThrow('enough')
  })
})
