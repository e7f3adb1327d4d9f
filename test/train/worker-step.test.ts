import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, test } from 'vitest'
import { batchNormalization } from '../../src/layers/batch-norm.js'
import { patchMoE } from '../../src/layers/moe/patch-moe.js'
import { sampleExperts } from '../../src/layers/moe/sample-experts.js'
import { recomputeStatistics } from '../../src/train/bn-statistics.js'
import { checkAgreed } from '../../src/train/cluster/agreement.js'
import { batchParts, type Cluster, gatheredTexts } from '../../src/train/cluster/cluster.js'
import { workerSteps } from '../../src/train/cluster/worker-step.js'
import { evaluate } from '../../src/train/evaluate.js'
import { train } from '../../src/train/loop.js'
import { lossOf } from '../../src/train/loss.js'
import { createOptimizer } from '../../src/train/optimizers/optimizer.js'
import { type StepNumbers, takeStep } from '../../src/train/step.js'
import { useTestBackend } from '../backend-under-test.js'
import { simulatedWorkers } from './simulated-workers.js'
import { brightRows, historyOf, weightsOf } from './tasks.js'

beforeAll(() => useTestBackend())

/** One BatchNorm, and a mixture whose experts have one of their own. */
function network(): tf.LayersModel {
  const drawn = (part: number) => tf.initializers.glorotUniform({ seed: part })
  const conv = { filters: 4, kernelSize: 3, padding: 'same', kernelInitializer: drawn(1) } as const
  return tf.sequential({
    layers: [
      tf.layers.conv2d({ ...conv, strides: 2, inputShape: [8, 8, 1] }),
      batchNormalization(),
      patchMoE({
        ...{ numExperts: 2, filters: 4, patchesPerExpert: 2, patchSize: 2, kernelSize: 3 },
        ...{ preActivation: 'batch-norm-relu', kernelInitializer: drawn(2), routerInitializer: drawn(3) },
      }),
      tf.layers.flatten(),
      tf.layers.dense({ units: 3, kernelInitializer: drawn(4) }),
    ],
  })
}

const set = brightRows(7, 3, 1, 8)

/** BatchNorms below each other, without a ReLU between them that rounding could turn, and one in experts. */
function smoothNetwork(): tf.LayersModel {
  const drawn = (part: number) => tf.initializers.glorotUniform({ seed: part })
  const conv = { filters: 4, kernelSize: 3, padding: 'same' } as const
  return tf.sequential({
    layers: [
      tf.layers.conv2d({ ...conv, kernelInitializer: drawn(1), inputShape: [8, 8, 1] }),
      batchNormalization({ epsilon: 0.01 }),
      tf.layers.activation({ activation: 'tanh' }),
      tf.layers.conv2d({ ...conv, strides: 2, kernelInitializer: drawn(2) }),
      batchNormalization(),
      tf.layers.activation({ activation: 'tanh' }),
      patchMoE({
        ...{ numExperts: 2, filters: 4, patchesPerExpert: 2, patchSize: 2, kernelSize: 3, border: 'halo' },
        ...{ preActivation: 'batch-norm-relu', kernelInitializer: drawn(3), routerInitializer: drawn(4) },
      }),
      tf.layers.flatten(),
      tf.layers.dense({
        units: 3,
        kernelInitializer: drawn(5),
        kernelRegularizer: tf.regularizers.l2({ l2: 0.05 }),
      }),
    ],
  })
}

/** How a step is taken: see {@link stepped}. */
interface Stepping {
  readonly build: () => tf.LayersModel
  readonly learningRate: number
  readonly l2: number
  readonly clipNorm?: number
  readonly clusterBatchNorm?: 'synchronised' | 'local'
}

const usual: Stepping = { build: network, learningRate: 0.1, l2: 0.01, clipNorm: 1 }

/** The weights before and after one step on the first images of the set, and what it measured. */
async function stepped(
  images: number,
  cluster?: Cluster,
  { build, learningRate, l2, clipNorm, clusterBatchNorm = 'synchronised' }: Stepping = usual,
): Promise<{ readonly numbers: StepNumbers; readonly before: number[][]; readonly weights: number[][] }> {
  const model = build()
  const before = weightsOf(model)
  const optimizer = createOptimizer({ name: 'momentum', learningRate, momentum: 0.9 }, model)
  const { first, end } = (cluster && batchParts(images, cluster.size)[cluster.index]) ?? {
    first: 0,
    end: images,
  }
  const pixels = set.images.subarray(first * 64, end * 64)
  const inputs = [
    tf.tensor4d(
      Float32Array.from(pixels, byte => byte / 255),
      [end - first, 8, 8, 1],
    ),
  ]
  const labels = set.labels.subarray(first, end)
  const parts = {
    model,
    classifier: lossOf(model),
    optimizer,
    coefficients: new Map([
      ['load-balance', 0.5],
      ['diversity', 0.5],
    ] as const),
    l2,
    clipNorm,
    ...(cluster && { workers: workerSteps({ cluster, clusterBatchNorm }) }),
  }
  const numbers = await takeStep(parts, { inputs, labels, images })
  const weights = weightsOf(model)
  model.dispose()
  optimizer.dispose()
  tf.dispose(inputs)
  return { numbers, before, weights }
}

describe('a step of several workers', () => {
  test.each([
    { images: 7, size: 2 },
    { images: 5, size: 3 },
    { images: 2, size: 3 },
  ])('is that of one process: $images images, $size workers', async ({ images, size }) => {
    const whole = await stepped(images)
    const workers = await simulatedWorkers(size, cluster => stepped(images, cluster))
    for (const { numbers, weights } of workers) {
      expect(numbers.loss).toBeCloseTo(whole.numbers.loss, 5)
      expect(numbers.correct).toBe(whole.numbers.correct)
      for (const [name, value] of whole.numbers.terms) expect(numbers.terms.get(name)).toBeCloseTo(value, 5)
      for (const [i, weight] of whole.weights.entries()) {
        for (const [j, value] of weight.entries()) expect(weights[i]?.[j]).toBeCloseTo(value, 4)
      }
    }
  })
})

test('an image that a worker takes only to take part is counted once', async () => {
  // A network that is right about the first image, the one that both workers compute.
  const sure = () => {
    const model = network()
    const bias = model.layers.at(-1)?.weights.at(-1)
    bias?.write(tf.tensor1d([0, 1, 2].map(label => (label === set.labels[0] ? 9 : 0))))
    return model
  }
  const stepping = { ...usual, build: sure }
  expect((await stepped(1, undefined, stepping)).numbers.correct).toBe(1)
  const workers = await simulatedWorkers(2, cluster => stepped(1, cluster, stepping))
  expect(workers.map(({ numbers }) => numbers.correct)).toEqual([1, 1])
})

test('moving means of parts that differ in length are those of the batch, with local BatchNorm as well', async () => {
  const { weights: whole } = await stepped(5)
  // The first of the first normalization, whose inputs do not depend on how the parts are normalized.
  const means = network().weights.findIndex(({ name }) => name.includes('moving_mean'))
  const local = { ...usual, clusterBatchNorm: 'local' } as const
  for (const { weights } of await simulatedWorkers(3, cluster => stepped(5, cluster, local))) {
    for (const [i, mean] of (whole[means] as number[]).entries()) {
      expect(Math.abs(mean)).toBeGreaterThan(1e-5)
      expect(weights[means]?.[i]).toBeCloseTo(mean, 7)
    }
  }
})

describe('the gradients of several workers', () => {
  // A step of length 1 without momentum, decay or clipping: the weights before it less those after it.
  const plain: Stepping = { build: smoothNetwork, learningRate: 1, l2: 0 }
  const gradientsOf = async (images: number, cluster?: Cluster) => {
    const { before, weights } = await stepped(images, cluster, plain)
    return before.map((weight, i) => weight.map((value, j) => value - (weights[i]?.[j] ?? Number.NaN)))
  }

  test.each([
    { images: 5, size: 3 },
    { images: 2, size: 3 },
  ])(
    'are those of one process, weight by weight: $images images, $size workers',
    async ({ images, size }) => {
      const whole = await gradientsOf(images)
      const workers = await simulatedWorkers(size, cluster => gradientsOf(images, cluster))
      for (const gradients of workers) {
        for (const [i, gradient] of whole.entries()) {
          const largest = Math.max(...gradient.map(Math.abs))
          const differences = gradient.map((value, j) => Math.abs(value - (gradients[i]?.[j] ?? Infinity)))
          expect(Math.max(...differences)).toBeLessThan(2e-5 * largest + 1e-6)
        }
      }
    },
  )
})

describe('what several workers measure', () => {
  test('is what one process measures, whatever the last batch holds', async () => {
    const model = network()
    const options = { batchSize: 3 }
    const whole = await evaluate(model, set, options)
    const workers = await simulatedWorkers(2, cluster => evaluate(model, set, { ...options, cluster }))
    for (const { loss, accuracy, perClass, count } of workers) {
      expect(loss).toBeCloseTo(whole.loss, 5)
      expect({ accuracy, perClass, count }).toEqual({
        accuracy: whole.accuracy,
        perClass: whole.perClass,
        count: whole.count,
      })
    }
    const [cluster] = await simulatedWorkers(1, async one => one)
    await expect(
      evaluate(model, set, { ...options, predictions: true, ...(cluster && { cluster }) }),
    ).rejects.toThrow('evaluate: predictions must be left out with a cluster')
    model.dispose()
  })

  test('gives the statistics of one process', async () => {
    const estimated = async (cluster?: Cluster) => {
      const model = network()
      const workers = workerSteps({ ...(cluster && { cluster }) })
      await recomputeStatistics(model, set, { batchSize: 3, seed: 1, workers })
      const weights = weightsOf(model)
      model.dispose()
      return weights
    }
    const whole = await estimated()
    for (const weights of await simulatedWorkers(2, estimated)) {
      for (const [i, weight] of whole.entries()) {
        for (const [j, value] of weight.entries()) expect(weights[i]?.[j]).toBeCloseTo(value, 4)
      }
    }
  })
})

describe('what workers tell each other', () => {
  test('texts arrive as they were', async () => {
    const texts = ['', 'Grüße', 'x'.repeat(300)]
    const results = await simulatedWorkers(3, cluster =>
      gatheredTexts(cluster, texts[cluster.index] as string),
    )
    expect(results).toEqual([texts, texts, texts])
  })

  test('what differs is named with its worker, and both values', async () => {
    const agree = (cluster: Cluster) =>
      checkAgreed(cluster, { 'version of tfjs': '4.22.0', seed: cluster.index === 2 ? '5' : '3' }).then(
        () => 'agreed',
        (error: Error) => error.message,
      )
    const messages = await simulatedWorkers(3, agree)
    expect(new Set(messages)).toEqual(
      new Set(['train: workers must have the same seed, got 5 on worker 2 and 3 on worker 0']),
    )
    expect(await simulatedWorkers(2, agree)).toEqual(['agreed', 'agreed'])
  })

  test('what a cluster may be is checked before anything else', async () => {
    const [cluster] = (await simulatedWorkers(1, async one => one)) as [Cluster]
    const model = tf.sequential({
      layers: [
        tf.layers.flatten({ inputShape: [8, 8, 1] }),
        tf.layers.batchNormalization(),
        tf.layers.dense({ units: 3 }),
      ],
    })
    const options = {
      train: set,
      epochs: 1,
      batchSize: 3,
      seed: 1,
      optimizer: { name: 'sgd', learningRate: 0.1 },
    } as const
    const failing = (wrong: object) => historyOf(train(model, { ...options, ...wrong }))
    await expect(failing({ cluster: { ...cluster, size: 2, index: 2 } })).rejects.toThrow(
      'train: cluster.index must be an integer in [0, 2), got 2',
    )
    await expect(failing({ clusterBatchNorm: 'global' })).rejects.toThrow(
      'train: clusterBatchNorm must be synchronised or local, got global',
    )
    await expect(failing({ clusterWire: 'int8' })).rejects.toThrow(
      'train: clusterWire must be float32 or bfloat16, got int8',
    )
    await expect(failing({ cluster: { ...cluster, size: 2 } })).rejects.toThrow(
      "train: clusterBatchNorm must be local for a network with tfjs's own BatchNormalization, got synchronised",
    )
    model.dispose()
  })

  test('experts that normalize the samples that chose them are refused with synchronised BatchNorm', async () => {
    const expert = () =>
      tf.sequential({
        layers: [
          tf.layers.flatten({ inputShape: [8, 8, 1] }),
          batchNormalization({ name: 'norm' }),
          tf.layers.dense({ units: 3 }),
        ],
      })
    const refusal = async (dispatch: 'chosen' | 'all', cluster: Cluster) => {
      const input = tf.input({ shape: [8, 8, 1] })
      const experts = sampleExperts({ numExperts: 2, patchSize: 4, dispatch, expert, name: 'experts' })
      const model = tf.model({ inputs: input, outputs: experts.apply(input) as tf.SymbolicTensor })
      const optimizer = { name: 'sgd', learningRate: 0.1 } as const
      const run = train(model, { train: set, epochs: 1, batchSize: 7, seed: 1, optimizer, cluster })
      return historyOf(run)
        .then(
          () => 'none',
          (error: Error) => error.message,
        )
        .finally(() => model.dispose())
    }
    const [cluster] = (await simulatedWorkers(1, async one => one)) as [Cluster]
    expect(await refusal('chosen', { ...cluster, size: 2 })).toBe(
      'train: clusterBatchNorm must be local where experts normalize the samples that chose them, got synchronised ' +
        "(experts/expert_0/norm; experts with dispatch 'all' can be synchronised)",
    )
    // Its one worker cannot hear the other: whatever else it says, it is not that.
    expect(await refusal('all', { ...cluster, size: 2 })).not.toContain('clusterBatchNorm')
  })
})
