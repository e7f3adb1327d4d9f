import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { sampleExperts } from '../../src/layers/moe/sample-experts.js'
import { recomputeActivations } from '../../src/layers/recomputation.js'
import { twoLayerPatchModel } from '../../src/models/two-layer.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { latestCheckpoint, memoryStore, readCheckpoint } from '../../src/train/checkpoint.js'
import { type TrainOptions, train } from '../../src/train/loop.js'
import { trainSeparately } from '../../src/train/routing/separate.js'
import { useTestBackend } from '../backend-under-test.js'
import { brightRows, historyOf, weightsOf, withoutClock } from './tasks.js'

beforeAll(() => useTestBackend())

/** A wide residual network of four experts that keep patches of a 2x2 map. */
function patchMixture(seed: number): tf.LayersModel {
  const pmoe = { numExperts: 4, patchesPerExpert: 2, patchSize: 1 }
  return wideResNet({ inputShape: [8, 8, 1], numClasses: 3, depth: 10, widenFactor: 1, pmoe, seed })
}

/** Two dense networks, one a sample. */
function networkMixture(seed: number): tf.LayersModel {
  const layer = sampleExperts({
    name: 'experts',
    numExperts: 2,
    patchSize: 4,
    seed,
    expert: (shape, k) =>
      tf.sequential({
        layers: [
          tf.layers.flatten({ inputShape: [...shape] }),
          tf.layers.dense({
            units: 3,
            kernelInitializer: tf.initializers.glorotUniform({ seed: 10 * seed + k }),
          }),
        ],
      }),
  })
  const input = tf.input({ shape: [4, 4, 1] })
  return tf.model({ inputs: input, outputs: layer.apply(input) as tf.SymbolicTensor })
}

const patches: TrainOptions = {
  train: brightRows(20, 3, 1, 8),
  epochs: 3,
  batchSize: 8,
  optimizer: {
    name: 'normalized-gd',
    learningRate: 0.02,
    momentum: 0.9,
    groups: [{ weights: ['*/kernel'], parts: 1 }],
    layerRates: [{ pattern: '*/router', learningRate: 0.1 }],
  },
  seed: 3,
  annealPatches: { from: 4, to: 2, epochs: 2 },
}

const networks: TrainOptions = {
  ...patches,
  train: brightRows(24, 3, 1),
  optimizer: { name: 'normalized-gd', learningRate: 0.02, momentum: 0.9, norm: 'sum' },
  loadBalance: 0.01,
}

/** The state of a run that was stopped after step 2 of epoch 2. */
async function stopped(model: tf.LayersModel, options: TrainOptions) {
  const checkpoints = memoryStore()
  const controller = new AbortController()
  for await (const event of train(model, { ...options, checkpoints, signal: controller.signal })) {
    if (event.type === 'step' && event.epoch === 2 && event.step === 2) controller.abort()
  }
  return readCheckpoint((await checkpoints.read(latestCheckpoint)) as Uint8Array, latestCheckpoint)
}

describe('normalized-gd', () => {
  const { annealPatches: _, ...networkOptions } = networks
  it.each<[string, (seed: number) => tf.LayersModel, TrainOptions]>([
    ['experts that keep ever fewer patches', patchMixture, patches],
    ['experts that are networks', networkMixture, networkOptions],
  ])('resumes inside an epoch, with %s', async (_, made, options) => {
    const whole = made(1)
    const history = withoutClock(await historyOf(train(whole, options)))
    const resume = await stopped(made(1), options)
    const resumed = made(2)
    expect(withoutClock(await historyOf(train(resumed, { ...options, resume })))).toEqual(history)
    expect(weightsOf(resumed)).toEqual(weightsOf(whole))
  })

  it('steps alike where activations are computed again, and leaks nothing', async () => {
    const [kept, again] = [patchMixture(1), patchMixture(1)]
    const before = tf.memory().numTensors
    const history = withoutClock(await historyOf(train(kept, patches)))
    expect(tf.memory().numTensors).toBe(before)
    recomputeActivations(true)
    try {
      expect(withoutClock(await historyOf(train(again, patches)))).toEqual(history)
    } finally {
      recomputeActivations(false)
    }
    expect(weightsOf(again)).toEqual(weightsOf(kept))
  })

  it('moves the network of each expert by the learning rate', async () => {
    const model = networkMixture(1)
    const { momentum: _, ...optimizer } = networkOptions.optimizer
    const options: TrainOptions = { ...networkOptions, optimizer: { ...optimizer, norm: 'frobenius' } }
    const before = weightsOf(model)
    await historyOf(train(model, { ...options, epochs: 1, batchSize: 24 }))
    const names = model.weights.map(({ originalName }) => originalName)
    for (const expert of ['expert_0', 'expert_1']) {
      const moved = weightsOf(model).flatMap((weight, i) =>
        names[i]?.includes(expert) ? weight.map((value, j) => value - (before[i]?.[j] ?? 0)) : [],
      )
      expect(Math.hypot(...moved)).toBeCloseTo(0.02, 5)
    }
  })

  it('leaves routers that were trained separately as they are', async () => {
    const made = () =>
      twoLayerPatchModel({
        inputShape: [4, 4, 1],
        patchSize: [1, 4],
        numExperts: 2,
        patchesPerExpert: 2,
        hiddenUnits: 8,
        numClasses: 2,
        seed: 1,
      })
    const separate = async (model: tf.LayersModel, optimizer: TrainOptions['optimizer']) => {
      const routers = { epochs: 1, batchSize: 8, learningRate: 0.1 }
      const options = { train: brightRows(20, 2, 1), epochs: 1, batchSize: 8, seed: 3 }
      await historyOf(trainSeparately(model, { ...options, optimizer, routers }))
      return model.weights.map(
        ({ originalName }, i) => [weightName(originalName), weightsOf(model)[i]] as const,
      )
    }
    const weightName = (path: string) => path.slice(path.lastIndexOf('/') + 1)
    const groups = [{ weights: ['*/kernel'], parts: 1 }]
    const normalized = new Map(await separate(made(), { name: 'normalized-gd', learningRate: 0.02, groups }))
    const plain = new Map(await separate(made(), { name: 'sgd', learningRate: 0.02 }))
    expect(normalized.get('router')).toEqual(plain.get('router'))
    expect(normalized.get('kernel')).not.toEqual(plain.get('kernel'))
  })
})
