import * as fc from 'fast-check'
import { beforeAll, expect, it } from 'vitest'
import { latestCheckpoint, memoryStore, readCheckpoint, type TrainState } from '../../src/train/checkpoint.js'
import { type TrainOptions, train } from '../../src/train/loop.js'
import type { OptimizerOptions } from '../../src/train/optimizers/optimizer-options.js'
import { useTestBackend } from '../backend-under-test.js'
import { allEvents, brightRows, denseModel, historyOf, weightsOf, withoutClock } from './tasks.js'

beforeAll(() => useTestBackend())

const stepsPerEpoch = 4
const base = {
  train: brightRows(30, 3, 1),
  test: brightRows(21, 3, 2),
  epochs: 3,
  batchSize: 8,
  optimizer: { name: 'adam', learningRate: 0.02 },
  seed: 5,
} as const satisfies TrainOptions

const optimized = (optimizer: Partial<OptimizerOptions>): Partial<TrainOptions> => ({
  optimizer: { ...base.optimizer, ...optimizer },
})

const settings: readonly (readonly [name: string, options: Partial<TrainOptions>])[] = [
  ['adamw', optimized({ name: 'adamw', weightDecay: 0.1, epsilon: 1e-5 })],
  ['momentum that decays, clipped', optimized({ name: 'momentum', weightDecay: 0.1, clipNorm: 0.5 })],
  ['cosine after a warm-up', optimized({ schedule: 'cosine', warmupEpochs: 1.3 })],
  ['step', optimized({ schedule: 'step', decayEpochs: 2, decayRate: 0.3 })],
  [
    'one-cycle',
    optimized({ name: 'sgd', schedule: 'one-cycle', layerRates: [{ pattern: '*', learningRate: 0.5 }] }),
  ],
  ['plateau', optimized({ schedule: 'plateau', patienceEpochs: 1, learningRate: 0.3 })],
  ['averaged weights', { emaDecay: 0.8 }],
  ['averaged weights and moving statistics', { emaDecay: 0.99, bnStatistics: 'moving' }],
  ['smoothed labels and class weights', { labelSmoothing: 0.1, classWeights: { 'row 1': 3 } }],
  ['chosen epochs', { validation: { ...brightRows(12, 3, 3), labels: new Int32Array(12) } }],
  [
    'all of them',
    {
      ...optimized({
        name: 'adamw',
        schedule: 'plateau',
        patienceEpochs: 1,
        warmupEpochs: 0.6,
        clipNorm: 0.3,
      }),
      emaDecay: 0.9,
      labelSmoothing: 0.2,
      classWeights: 'balanced',
      validation: brightRows(12, 3, 3),
    },
  ],
]

/** The state that is left of a run that was killed after so many steps. */
async function stateAfter(steps: number, options: TrainOptions): Promise<TrainState> {
  const checkpoints = memoryStore()
  let stored = 0
  for await (const event of train(denseModel({ normalized: true }), {
    ...options,
    checkpoints,
    checkpointSteps: 1,
  })) {
    if (event.type === 'checkpoint') stored++
    if (stored === steps) break
  }
  return readCheckpoint((await checkpoints.read(latestCheckpoint)) as Uint8Array, latestCheckpoint)
}

it.each(settings)('a run with %s ends in the same bits, wherever it was stopped', async (_, changed) => {
  const options: TrainOptions = { ...base, ...changed }
  const whole = denseModel({ normalized: true })
  const history = withoutClock(await historyOf(train(whole, options)))
  const lastSteps = fc.integer({ min: 1, max: stepsPerEpoch * base.epochs })
  await fc.assert(
    fc.asyncProperty(lastSteps, async steps => {
      const resume = await stateAfter(steps, options)
      const resumed = denseModel({ normalized: true, seed: 2 })
      const events = await allEvents(train(resumed, { ...options, resume }))
      const end = events.at(-1)
      expect(end?.type === 'end' && withoutClock(end.history)).toEqual(history)
      expect(weightsOf(resumed)).toEqual(weightsOf(whole))
    }),
    { numRuns: 3 },
  )
})

it('a run whose rates follow from its epochs is not made longer or shorter', async () => {
  const options: TrainOptions = { ...base, ...optimized({ schedule: 'one-cycle' }) }
  const resume = await stateAfter(3, options)
  for (const epochs of [2, 4]) {
    const run = train(denseModel({ normalized: true }), { ...options, epochs, resume })
    await expect(allEvents(run)).rejects.toThrow(
      `train: epochs must stay 3 for a run that goes on with schedule one-cycle, got ${epochs} (its steps so far follow from them)`,
    )
  }
})

it('a run with other settings of its optimizer is not gone on with', async () => {
  const resume = await stateAfter(3, { ...base, ...optimized({ schedule: 'plateau', patienceEpochs: 2 }) })
  const run = train(denseModel({ normalized: true }), {
    ...base,
    ...optimized({ schedule: 'plateau', patienceEpochs: 1 }),
    resume,
  })
  await expect(allEvents(run)).rejects.toThrow(
    /train: checkpoint must be of this configuration, got optimizer .*"patienceEpochs":2.* \(this run has .*"patienceEpochs":1/,
  )
})
