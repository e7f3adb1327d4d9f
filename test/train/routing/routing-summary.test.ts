import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { composeGrid } from '../../../src/data/compose/compose.js'
import type { TwoLayerExperts } from '../../../src/layers/moe/two-layer-experts.js'
import { twoLayerPatchModel } from '../../../src/models/two-layer.js'
import { wideResNet } from '../../../src/models/wide-resnet.js'
import { readCheckpoint, writeCheckpoint } from '../../../src/train/checkpoint.js'
import { train } from '../../../src/train/loop.js'
import { recordRouting } from '../../../src/train/routing/routing-record.js'
import { measureRouting, summarizeRouting } from '../../../src/train/routing/routing-summary.js'
import { epochScalars } from '../../../src/train/tensorboard.js'
import { useTestBackend } from '../../backend-under-test.js'
import { brightRows, historyOf } from '../tasks.js'

beforeAll(() => useTestBackend())

/** A bright row of class 0 or 1 in one of 2x2 cells, others in the rest. */
const grid = (count: number, seed: number) =>
  composeGrid({ pool: brightRows(40, 4, 1), grid: [2, 2], targets: [0, 1], distractors: [2, 3], count, seed })

const model = () =>
  twoLayerPatchModel({
    inputShape: [8, 8, 1],
    patchSize: 4,
    numExperts: 3,
    patchesPerExpert: 2,
    hiddenUnits: 6,
    numClasses: 1,
    routerInitializer: 'randomNormal',
    seed: 1,
  })

describe('recordRouting', () => {
  it('is what the layer routes, image after image, and leaves nothing behind', async () => {
    const [network, set] = [model(), grid(7, 2)]
    const before = tf.memory().numTensors
    const record = await recordRouting(network, set, { batchSize: 3 })
    expect(tf.memory().numTensors).toBe(before)
    const layer = network.getLayer('logits') as TwoLayerExperts
    const x = tf.tensor4d(
      [...set.images].map(byte => byte / 255),
      [7, 8, 8, 1],
    )
    const { indices, gates } = layer.route(x)
    expect([...record!.indices]).toEqual([...indices.dataSync()])
    expect([...record!.gates]).toEqual([...gates.dataSync()].map(gate => expect.closeTo(gate, 5)))
    expect(record).toMatchObject({ grid: [2, 2], numExperts: 3, patchesPerExpert: 2, count: 7 })
    tf.dispose([x, indices, gates])
  })

  it('joins the masking layers of the published network, one expert each', async () => {
    const network = wideResNet({
      inputShape: [8, 8, 1],
      numClasses: 2,
      depth: 10,
      widenFactor: 1,
      variant: 'authors',
      pmoe: { numExperts: 4, patchesPerExpert: 1, patchSize: 1 },
      seed: 1,
    })
    const record = await recordRouting(network, grid(5, 2), { batchSize: 2 })
    expect(record).toMatchObject({ grid: [2, 2], numExperts: 4, patchesPerExpert: 1, count: 5 })
    expect(record?.indices.length).toBe(20)
    expect(Math.max(...record!.indices)).toBeLessThan(4)
  })

  it('has nothing to say of a model that keeps every patch', async () => {
    const dense = wideResNet({ inputShape: [8, 8, 1], numClasses: 2, depth: 10, widenFactor: 1, seed: 1 })
    expect(await recordRouting(dense, grid(2, 1))).toBeUndefined()
  })

  it('ends with the reason of a signal', async () => {
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(recordRouting(model(), grid(2, 1), { signal })).rejects.toThrow('enough')
  })
})

describe('routing metrics of a run', () => {
  it('are told with each evaluation, as measured afterwards, and survive checkpoint and TensorBoard', async () => {
    const [network, test] = [model(), grid(12, 3)]
    const history = await historyOf(
      train(network, {
        train: grid(24, 2),
        test,
        epochs: 2,
        batchSize: 8,
        optimizer: { name: 'sgd', learningRate: 0.1 },
        seed: 1,
        routingMetrics: true,
      }),
    )
    const measured = summarizeRouting((await measureRouting(network, test))!)
    expect(history[1]?.routing).toEqual(measured)
    expect(measured).toMatchObject({ trueKept: expect.any(Number), deadExperts: expect.any(Number) })
    expect(measured.uncovered + measured.coveredOnce + measured.coveredSeveral).toBeCloseTo(1, 12)
    const state = {
      weights: [],
      slots: [],
      optimizer: { name: 'sgd', learningRate: 0.1 } as const,
      seed: 1,
      batchSize: 8,
      examples: 24,
      history,
      running: { step: 0, lossSum: 0, correct: 0, seconds: 0 },
    }
    expect(readCheckpoint(writeCheckpoint(state), 'state').history).toEqual(history)
    const scalars = Object.fromEntries(epochScalars(history[1]!, 0).map(({ tag, value }) => [tag, value]))
    expect(scalars['routing/true patch kept']).toBe(measured.trueKept)
  })

  it('know the truth from the boxes of objects as from cells', async () => {
    const [network, { cells: _, trueCell, ...set }] = [model(), grid(12, 3)]
    // Cells of 4x4 in images of 8x8.
    const objectBox = Int32Array.from({ length: 48 }, (_, i) => {
      const cell = trueCell![i >> 2]!
      return [4 * (cell >> 1), 4 * (cell % 2), 4, 4][i & 3]!
    })
    const fromBoxes = await measureRouting(network, { ...set, objectBox })
    expect(fromBoxes?.truth?.recall).toHaveLength(2)
    expect(fromBoxes).toEqual(await measureRouting(network, grid(12, 3)))
  })

  it('leave out what only the truth tells, where a set does not know it', async () => {
    const metrics = await measureRouting(model(), brightRows(5, 2, 1, 8))
    expect(Object.keys(summarizeRouting(metrics!))).toEqual([
      'uncovered',
      'coveredOnce',
      'coveredSeveral',
      'largestShare',
      'fixedExperts',
    ])
  })

  it('stand for "none" with null where JSON has no NaN', () => {
    const none = {
      entropy: Number.NaN,
      mutualInformation: Number.NaN,
      counts: [[0]],
      sent: 0,
      classShares: [[0]],
    }
    const summary = summarizeRouting({
      images: 1,
      numExperts: 1,
      patchesPerExpert: 1,
      coverage: { none: 0.5, one: 0.5, several: 0 },
      gates: [{ mean: 1, standardDeviation: 0, least: 1, largest: 1, largestShare: 1 }],
      fixedExperts: [],
      truth: {
        recall: [0],
        recallByExpert: [[[0]], [[Number.NaN]]],
        largestGate: [{ expert: 0, share: Number.NaN }],
        dispatch: none,
        deadExperts: [0],
      },
    })
    expect(JSON.parse(JSON.stringify(summary))).toEqual(summary)
    expect(summary).toMatchObject({ dispatchEntropy: null, mutualInformation: null, largestGate: [null] })
  })

  it('need a test set', async () => {
    const run = train(model(), {
      train: grid(8, 1),
      epochs: 1,
      batchSize: 8,
      optimizer: { name: 'sgd', learningRate: 0.1 },
      seed: 1,
      routingMetrics: true,
    })
    await expect(run.next()).rejects.toThrow('train: routingMetrics must come with a test set, got none')
  })
})
