import * as tf from '@tensorflow/tfjs'
import * as fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { PatchMoE, patchMoE } from '../../src/layers/moe/patch-moe.js'
import { annealedPatches } from '../../src/train/anneal.js'
import { latestCheckpoint, memoryStore, readCheckpoint } from '../../src/train/checkpoint.js'
import { type TrainOptions, train } from '../../src/train/loop.js'
import { useTestBackend } from '../backend-under-test.js'
import { brightRows, denseModel, historyOf, weightsOf, withoutClock } from './tasks.js'

beforeAll(() => useTestBackend())

describe('annealedPatches', () => {
  it('halves L evenly', () => {
    const annealing = { from: 64, to: 8, epochs: 3 }
    expect([1, 2, 3, 4, 5].map(epoch => annealedPatches(annealing, epoch))).toEqual([64, 32, 16, 8, 8])
    expect([1, 2].map(epoch => annealedPatches({ from: 10, to: 3, epochs: 1 }, epoch))).toEqual([10, 3])
  })

  it('starts, ends and never grows', () => {
    const numbers = fc.integer({ min: 1, max: 500 })
    fc.assert(
      fc.property(numbers, numbers, fc.integer({ min: 1, max: 40 }), (a, b, epochs) => {
        const [from, to] = [Math.max(a, b), Math.min(a, b)]
        const path = Array.from({ length: epochs + 2 }, (_, i) =>
          annealedPatches({ from, to, epochs }, i + 1),
        )
        expect([path[0], path[epochs]]).toEqual([from, to])
        for (const [i, patches] of path.slice(1).entries())
          expect(patches).toBeLessThanOrEqual(path[i] as number)
      }),
    )
  })
})

/** Two experts on the 16 pixels of an image, and a head. */
function model(seed = 1): tf.LayersModel {
  return tf.sequential({
    layers: [
      patchMoE({
        filters: 4,
        numExperts: 2,
        patchesPerExpert: 2,
        patchSize: 1,
        inputShape: [4, 4, 1],
        seed,
        name: 'experts',
      }),
      tf.layers.flatten({}),
      tf.layers.dense({ units: 3, kernelInitializer: tf.initializers.glorotUniform({ seed }), name: 'head' }),
    ],
  })
}

const keeps = (of: tf.LayersModel) => (of.getLayer('experts') as PatchMoE).patchesPerExpert

const options: TrainOptions = {
  train: brightRows(24, 3, 1),
  test: brightRows(12, 3, 2),
  epochs: 4,
  batchSize: 8,
  optimizer: { name: 'adam', learningRate: 0.01, layerRates: [{ pattern: 'head', learningRate: 0.03 }] },
  annealPatches: { from: 16, to: 4, epochs: 2 },
  seed: 5,
}

describe('training with annealed patches', () => {
  it('keeps as many patches in each epoch as the schedule says, and saves the last number', async () => {
    const trained = model()
    const seen: number[] = []
    for await (const event of train(trained, options)) if (event.type === 'step') seen.push(keeps(trained))
    expect(new Set(seen)).toEqual(new Set([16, 8, 4]))
    expect(trained.getLayer('experts').getConfig()).toMatchObject({ patchesPerExpert: 4 })
    trained.dispose()
  })

  it('tells L of every epoch', async () => {
    const trained = model()
    const history = await historyOf(train(trained, options))
    expect(history.map(({ patchesPerExpert }) => patchesPerExpert)).toEqual([16, 8, 4, 4])
    trained.dispose()
  })

  it.each([2, 3, 4, 7])(
    'ends in the same numbers when stopped after step %i and resumed',
    async stopAfter => {
      const whole = model()
      const history = withoutClock(await historyOf(train(whole, options)))
      const checkpoints = memoryStore()
      const controller = new AbortController()
      let steps = 0
      const first = model()
      for await (const event of train(first, { ...options, checkpoints, signal: controller.signal })) {
        if (event.type === 'step' && ++steps === stopAfter) controller.abort()
      }
      const bytes = (await checkpoints.read(latestCheckpoint)) as Uint8Array
      const resumed = model(2)
      const resume = readCheckpoint(bytes, latestCheckpoint)
      expect(withoutClock(await historyOf(train(resumed, { ...options, resume })))).toEqual(history)
      expect(weightsOf(resumed)).toEqual(weightsOf(whole))
      // A run that is complete already still leaves its model with the last number.
      const again = model(3)
      await historyOf(train(again, { ...options, checkpoints, resume: await completed() }))
      expect(keeps(again)).toBe(4)
      for (const each of [whole, first, resumed, again]) each.dispose()
    },
  )

  it('refuses what cannot be', async () => {
    const refuses = (annealPatches: TrainOptions['annealPatches'], message: string, of = model()) =>
      expect(
        historyOf(
          train(of, {
            ...options,
            optimizer: { name: 'sgd', learningRate: 0.1 },
            annealPatches: annealPatches as never,
          }),
        ),
      ).rejects.toThrow(message)
    await refuses(
      { from: 0, to: 0, epochs: 1 },
      'train: annealPatches.from must be a positive integer, got 0',
    )
    await refuses({ from: 4, to: 8, epochs: 1 }, 'train: annealPatches.to must be at most from, 4, got 8')
    await refuses(
      { from: 8, to: 4, epochs: 4 },
      'train: annealPatches.epochs must be fewer than the 4 epochs of training, got 4',
    )
    await refuses(
      { from: 17, to: 4, epochs: 1 },
      'train: annealPatches.from must be in [1, 16], got 17 (patches of layer experts)',
    )
    await refuses(
      { from: 8, to: 4, epochs: 1 },
      'train: annealPatches must be for a model with a PatchMoE, got none',
      denseModel(),
    )
  })
})

async function completed() {
  const checkpoints = memoryStore()
  const trained = model()
  await historyOf(train(trained, { ...options, checkpoints }))
  trained.dispose()
  return readCheckpoint((await checkpoints.read(latestCheckpoint)) as Uint8Array, latestCheckpoint)
}

it('changes what a built layer computes from the next call on, in bounds', () => {
  const layer = patchMoE({
    filters: 2,
    numExperts: 1,
    patchesPerExpert: 16,
    patchSize: 1,
    gate: 'uniform',
    seed: 1,
  })
  const x = tf.randomUniform([1, 4, 4, 3], -1, 1, 'float32', 3)
  const zeros = () =>
    tf.tidy(() => (layer.apply(x) as tf.Tensor4D).abs().sum(3).equal(0).toInt().sum().dataSync()[0])
  expect(zeros()).toBe(0)
  layer.patchesPerExpert = 5
  expect([zeros(), layer.patchesPerExpert, layer.getConfig().patchesPerExpert]).toEqual([11, 5, 5])
  for (const count of [0, 17, 1.5]) {
    expect(() => {
      layer.patchesPerExpert = count
    }).toThrow(
      `PatchMoE: patchesPerExpert must be an integer in [1, 16], got ${count} (16 patches: 4x4 map in 1x1 patches)`,
    )
  }
  expect(layer.patchesPerExpert).toBe(5)
  const fresh = patchMoE({ filters: 2, numExperts: 1, patchesPerExpert: 16, patchSize: 1 })
  expect(() => {
    fresh.patchesPerExpert = 0
  }).toThrow('PatchMoE: patchesPerExpert must be a positive integer, got 0')
  expect(fresh).toBeInstanceOf(PatchMoE)
  tf.dispose(x)
  layer.dispose()
})
