import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { twoLayerPatchModel } from '../../src/models/two-layer.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { recomputeStatistics } from '../../src/train/bn-statistics.js'
import { latestCheckpoint, memoryStore, readCheckpoint } from '../../src/train/checkpoint.js'
import { type TrainOptions, train } from '../../src/train/loop.js'
import { lossOf } from '../../src/train/loss.js'
import { useTestBackend } from '../backend-under-test.js'
import { brightRows, historyOf, weightsOf, withoutClock } from './tasks.js'

beforeAll(() => useTestBackend())

/** The smallest network with every part: 8x8 images, a 2x2 map at the end, four experts of two patches. */
function mixture(seed: number, numClasses = 3): tf.LayersModel {
  const pmoe = { numExperts: 4, patchesPerExpert: 2, patchSize: 1 }
  return wideResNet({ inputShape: [8, 8, 1], numClasses, depth: 10, widenFactor: 1, pmoe, seed })
}

const options: TrainOptions = {
  train: brightRows(20, 3, 1, 8),
  test: brightRows(9, 3, 2, 8),
  epochs: 2,
  batchSize: 8,
  optimizer: { name: 'momentum', learningRate: 0.05 },
  seed: 3,
}

describe('a wide residual network with a mixture of experts', () => {
  it('ends like one never killed when it is resumed inside an epoch', async () => {
    const whole = mixture(1)
    const expected = withoutClock(await historyOf(train(whole, options)))

    const checkpoints = memoryStore()
    for await (const event of train(mixture(1), { ...options, checkpoints, checkpointSteps: 2 })) {
      if (event.type === 'checkpoint' && event.epoch === 2) break
    }
    const resume = readCheckpoint((await checkpoints.read(latestCheckpoint)) as Uint8Array, latestCheckpoint)
    expect(resume.running.step).toBe(2)
    const resumed = mixture(2)
    expect(withoutClock(await historyOf(train(resumed, { ...options, resume })))).toEqual(expected)
    expect(weightsOf(resumed)).toEqual(weightsOf(whole))
  })

  it('has the statistics of its experts estimated anew, whatever they were', async () => {
    const model = mixture(1)
    const experts = model.layers.find(layer => layer.getClassName() === 'PatchMoE') as tf.layers.Layer
    const statistics = () =>
      experts.weights.filter(w => /moving_/.test(w.originalName)).map(w => [...w.read().dataSync()])
    const before = statistics()
    await recomputeStatistics(model, options.train, { batchSize: 8, seed: 1 })
    const first = statistics()
    expect(first.length).toBe(2)
    expect(first).not.toEqual(before)
    for (const weight of model.weights.filter(w => /moving_/.test(w.originalName))) {
      weight.write(tf.fill(weight.shape as number[], 7))
    }
    await recomputeStatistics(model, options.train, { batchSize: 8, seed: 1 })
    expect(statistics()).toEqual(first)
  })

  it('is trained on its logits, not on rounded probabilities', () => {
    const model = mixture(1)
    const classifier = lossOf(model)
    const logits = model.getLayer('logits')
    logits.setWeights(
      logits.getWeights().map(weight => weight.mul(0).add(weight.rank === 1 ? [0, 0, 300] : 0)),
    )
    const loss = tf.tidy(() => {
      const z = classifier.logits(tf.zeros([1, 8, 8, 1]), false)
      return classifier.loss(z, tf.tensor1d([0], 'int32')).dataSync()[0]
    })
    expect(loss).toBeCloseTo(300, 2)
  })
})

it.each([1, 2])(
  'the two-layer patch model lowers its loss on two classes, with %i output(s)',
  async numClasses => {
    const model = twoLayerPatchModel({
      inputShape: [4, 4, 1],
      patchSize: [1, 4],
      numExperts: 2,
      patchesPerExpert: 2,
      hiddenUnits: 8,
      numClasses,
      seed: 1,
    })
    const two: TrainOptions = {
      ...options,
      train: brightRows(120, 2, 1),
      test: brightRows(40, 2, 2),
      epochs: 6,
      optimizer: { name: 'adam', learningRate: 0.03 },
    }
    const history = await historyOf(train(model, two))
    expect(history.at(-1)?.trainLoss).toBeLessThan(history[0]?.trainLoss ?? 0)
  },
)
