import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { epochOrder } from '../../../src/data/batches.js'
import { theoryImages } from '../../../src/data/datasets/theory-patches.js'
import { theoryDefaults, theoryPatterns } from '../../../src/data/datasets/theory-patterns.js'
import type { ImageSet } from '../../../src/data/image-set.js'
import { type StreamPass, streamOf } from '../../../src/data/image-stream.js'
import { patchMoE } from '../../../src/layers/moe/patch-moe.js'
import { twoLayerPatchModel } from '../../../src/models/two-layer.js'
import { deriveSeed } from '../../../src/random.js'
import { type RouterTrainingOptions, trainRouters } from '../../../src/train/routing/routers.js'
import { measureRouting } from '../../../src/train/routing/routing-summary.js'
import { expectAllClose } from '../../all-close.js'
import { useTestBackend } from '../../backend-under-test.js'
import { brightRows } from '../tasks.js'

beforeAll(() => useTestBackend())

const settings = { epochs: 2, batchSize: 3, learningRate: 0.5, seed: 4 }

async function run(model: tf.LayersModel, options: RouterTrainingOptions) {
  const events = []
  for await (const event of trainRouters(model, options)) events.push(event)
  return events
}

const routerOf = (model: tf.LayersModel) => [
  ...model.layers
    .find(layer => layer.weights.length > 0)!
    .getWeights()[0]!
    .dataSync(),
]

/** Eq. (6) by SGD in plain loops, pair by pair: (d,K). */
function routersByHand(
  initial: readonly number[],
  patchSums: readonly (readonly number[])[],
  labels: ArrayLike<number>,
  { epochs, batchSize, learningRate, seed }: typeof settings,
  experts: number,
) {
  const w = [...initial]
  const losses: number[] = []
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = [...epochOrder(labels.length, deriveSeed(seed, 'routers'), epoch)]
    let loss = 0
    for (let pair = 0; pair < experts / 2; pair++) {
      const own = order.filter(i => labels[i] === 2 * pair || labels[i] === 2 * pair + 1)
      for (let first = 0; first < own.length; first += batchSize) {
        const batch = own.slice(first, first + batchSize)
        const gradient = patchSums[0]!.map(
          (_, d) =>
            -batch.reduce((sum, i) => sum + (labels[i] === 2 * pair ? 1 : -1) * patchSums[i]![d]!, 0) /
            batch.length,
        )
        gradient.forEach((value, d) => {
          const at = d * experts + 2 * pair
          loss += (w[at]! - w[at + 1]!) * value * batch.length
          w[at]! -= learningRate * value
          w[at + 1]! += learningRate * value
        })
      }
    }
    losses.push(loss / labels.length)
  }
  return { w, losses }
}

/** (count) arrays of sum_j x^(j), from the definition: x (count,H,W,C), patches of h x w. */
function sumsByHand(x: ArrayLike<number>, shape: readonly number[], [h, w]: readonly [number, number]) {
  const [count, height, width, channels] = shape as [number, number, number, number]
  return Array.from({ length: count }, (_, i) => {
    const sum = new Array<number>(h * w * channels).fill(0)
    for (let y = 0; y < height; y++)
      for (let column = 0; column < width; column++)
        for (let c = 0; c < channels; c++)
          sum[((y % h) * w + (column % w)) * channels + c]! +=
            x[((i * height + y) * width + column) * channels + c]!
    return sum
  })
}

const scaled = (set: ImageSet) => Float64Array.from(set.images, byte => byte / 255)

describe('trainRouters', () => {
  it('takes the steps of eq. (6), worked by hand', async () => {
    const model = twoLayerPatchModel({
      inputShape: [1, 2, 1],
      patchSize: 1,
      numExperts: 2,
      patchesPerExpert: 1,
      hiddenUnits: 2,
      numClasses: 1,
      routerInitializer: 'zeros',
    })
    const train: ImageSet = {
      images: Uint8Array.of(255, 0, 51, 51),
      labels: Int32Array.of(0, 1),
      count: 2,
      shape: [1, 2, 1],
      classNames: ['a', 'b'],
    }
    const events = await run(model, { ...settings, batchSize: 2, train })
    // Patch sums 1 and 0.4: a step adds 0.5 (1 - 0.4) / 2 = 0.15 to w_1 and takes it from w_2.
    expectAllClose(routerOf(model), [0.3, -0.3])
    // Before the first step both are 0; before the second -(0.15 + 0.15) (1 - 0.4) / 2.
    expect(events).toMatchObject([
      { type: 'routers', epoch: 1, epochs: 2, loss: 0 },
      { type: 'routers', epoch: 2, epochs: 2, loss: expect.closeTo(-0.09, 9) },
    ])
  })

  it.each([
    { classes: 2, outputs: 1 },
    { classes: 2, outputs: 2 },
    { classes: 6, outputs: 6 },
  ])(
    'trains the routers of $classes classes pair by pair, batches of a pair at a time',
    async ({ classes, outputs }) => {
      const model = twoLayerPatchModel({
        inputShape: [6, 6, 1],
        patchSize: [2, 3],
        numExperts: classes,
        patchesPerExpert: 2,
        hiddenUnits: 12,
        numClasses: outputs,
        seed: 2,
      })
      const train = brightRows(23, classes, 5, 6)
      const initial = routerOf(model)
      const sums = sumsByHand(scaled(train), [23, 6, 6, 1], [2, 3])
      const expected = routersByHand(initial, sums, train.labels, settings, classes)
      const events = await run(model, { ...settings, train })
      expectAllClose(routerOf(model), expected.w)
      expectAllClose(
        events.map(({ loss }) => loss),
        expected.losses,
      )
    },
  )

  it('gets the same routers from a stream, which is read in every epoch', async () => {
    const options = { inputShape: [4, 4, 1], patchSize: [1, 4], numExperts: 2, hiddenUnits: 2 } as const
    const [set, read] = [1, 2].map(() =>
      twoLayerPatchModel({ ...options, patchesPerExpert: 2, numClasses: 1, seed: 1 }),
    ) as [tf.LayersModel, tf.LayersModel]
    const train = brightRows(23, 2, 5)
    let passes = 0
    const { count, shape, classNames } = train
    const stream = {
      ...{ count, shape, classNames },
      batches: (pass: StreamPass) => {
        passes++
        return streamOf(train).batches(pass)
      },
    }
    await run(set, { ...settings, train })
    await run(read, { ...settings, train: stream })
    expect(routerOf(read)).toEqual(routerOf(set))
    expect(passes).toBe(settings.epochs)
  })

  it('trains the routers of a mixture on the maps of a frozen body', async () => {
    const input = tf.input({ shape: [4, 4, 1] })
    const body = tf.layers.conv2d({ filters: 2, kernelSize: 3, padding: 'same', trainable: false })
    const experts = patchMoE({ numExperts: 2, patchesPerExpert: 1, patchSize: 2, filters: 2, seed: 1 })
    const map = body.apply(input) as tf.SymbolicTensor
    const pooled = tf.layers.globalAveragePooling2d({}).apply(experts.apply(map)) as tf.SymbolicTensor
    const model = tf.model({ inputs: input, outputs: pooled })
    const train = brightRows(10, 2, 5)
    const maps = tf.tidy(() =>
      (body.apply(tf.tensor4d(Float32Array.from(scaled(train)), [10, 4, 4, 1])) as tf.Tensor).dataSync(),
    )
    const initial = [...experts.getWeights()[0]!.dataSync()]
    const expected = routersByHand(
      initial,
      sumsByHand(maps, [10, 4, 4, 2], [2, 2]),
      train.labels,
      settings,
      2,
    )
    const before = tf.memory().numTensors
    await run(model, { ...settings, train })
    expect(tf.memory().numTensors).toBe(before)
    expectAllClose(experts.getWeights()[0]!.dataSync(), expected.w)
    body.trainable = true
    await expect(run(model, { ...settings, train })).rejects.toThrow(
      `trainRouters: layers below ${experts.name} must not be trained, got 2 trainable weights`,
    )
  })

  it("finds every class's pattern when experts keep l* patches or more: Lemma 4.1", async () => {
    const patterns = theoryPatterns({ ...theoryDefaults, numClasses: 4, lStar: 3 })
    const [train, test] = [1, 2].map(seed => theoryImages({ patterns, gridSide: 3, count: 400, seed })) as [
      ImageSet,
      ImageSet,
    ]
    const model = twoLayerPatchModel({
      inputShape: train.shape,
      patchSize: 8,
      numExperts: 4,
      patchesPerExpert: 3,
      hiddenUnits: 4,
      numClasses: 4,
      gate: 'uniform',
      seed: 1,
    })
    const recall = async () => (await measureRouting(model, test))?.truth?.ownRecall
    // Untrained routers keep 3 of 9 patches.
    expect((await recall())?.at(-1)).toBeLessThan(0.6)
    await run(model, { epochs: 20, batchSize: 20, learningRate: 0.2, seed: 1, train })
    expect(await recall()).toEqual([expect.any(Number), expect.any(Number), 1])
  })

  it('freezes the routers, and leaves them as they were when it is aborted', async () => {
    const model = twoLayerPatchModel({
      inputShape: [4, 4, 1],
      patchSize: [1, 4],
      numExperts: 2,
      patchesPerExpert: 2,
      hiddenUnits: 4,
      numClasses: 1,
    })
    const train = brightRows(10, 2, 5)
    const initial = routerOf(model)
    const abort = new AbortController()
    for await (const _ of trainRouters(model, { ...settings, train, signal: abort.signal })) abort.abort()
    expect(routerOf(model)).toEqual(initial)
    expect(model.trainableWeights.length).toBe(2)
    await run(model, { ...settings, train })
    expect(model.trainableWeights.map(({ originalName }) => originalName.split('/').at(-1))).toEqual([
      'kernel',
    ])
  })

  const small = { inputShape: [4, 4, 1], patchSize: [1, 4], patchesPerExpert: 2, hiddenUnits: 12 } as const
  it.each([
    [{ epochs: 0 }, 2, 2, 'epochs must be a positive integer, got 0'],
    [{ batchSize: 1.5 }, 2, 2, 'batchSize must be a positive integer, got 1.5'],
    [{ learningRate: 0 }, 2, 2, 'learningRate must be above 0, got 0'],
    [{}, 4, 2, 'numExperts must be the number of classes, 2, got 4 (layer logits)'],
    [{}, 3, 3, 'classes must be even in number, as they are paired, got 3'],
  ])('refuses %j with %i experts and %i classes', async (change, numExperts, numClasses, message) => {
    const model = twoLayerPatchModel({ ...small, numExperts, numClasses })
    const train = brightRows(12, numClasses, 1)
    await expect(run(model, { ...settings, train, ...change })).rejects.toThrow(
      new RangeError(`trainRouters: ${message}`),
    )
  })

  it('refuses a model without experts', async () => {
    const model = tf.sequential({
      layers: [tf.layers.flatten({ inputShape: [4, 4, 1] }), tf.layers.dense({ units: 2 })],
    })
    await expect(run(model, { ...settings, train: brightRows(4, 2, 1) })).rejects.toThrow(
      'trainRouters: model must have 1 layer of experts, got 0',
    )
  })
})
