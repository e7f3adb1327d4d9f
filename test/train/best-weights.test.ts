import { beforeAll, describe, expect, it } from 'vitest'
import {
  latestCheckpoint,
  memoryStore,
  readCheckpoint,
  type TrainState,
  writeCheckpoint,
} from '../../src/train/checkpoint.js'
import { bestEpoch } from '../../src/train/early-stop.js'
import { evaluate } from '../../src/train/evaluate.js'
import { type TrainEvent, type TrainOptions, train } from '../../src/train/loop.js'
import { useTestBackend } from '../backend-under-test.js'
import { allEvents, brightRows, denseModel, historyOf, weightsOf, withoutClock } from './tasks.js'

beforeAll(() => useTestBackend())

/** Wrong labels for two thirds: the loss on them falls at first, then rises. */
function partlyWrong() {
  const right = brightRows(18, 3, 7)
  return { ...right, labels: right.labels.map((label, i) => (i % 9 < 6 ? label : (label + 1) % 3)) }
}

const testRows = brightRows(21, 3, 2)
const options: TrainOptions = {
  train: brightRows(60, 3, 1),
  validation: partlyWrong(),
  test: testRows,
  epochs: 12,
  batchSize: 20,
  optimizer: { name: 'adam', learningRate: 0.03 },
  seed: 3,
}
const networkAtStart = (seed = 1) => denseModel({ normalized: true, seed })

function lastEnd(events: readonly TrainEvent[]) {
  const end = events.at(-1)
  if (end?.type !== 'end') throw new Error(`events must end with end, got ${end?.type}`)
  return end
}

describe('a run with validation images', () => {
  it.each<Partial<TrainOptions>>([
    {},
    { emaDecay: 0.5 },
    { bnStatistics: 'moving', emaDecay: 0.6 },
    { earlyStop: { patience: 3 } },
    { earlyStop: { patience: 20, metric: 'testAccuracy' } },
  ])('ends with the weights of the best epoch, which are tested: %j', async changed => {
    const model = networkAtStart()
    const end = lastEnd(await allEvents(train(model, { ...options, ...changed })))
    const best = bestEpoch(end.history, changed.earlyStop?.metric) as number
    expect(best).toBeLessThan(end.history.length)
    expect(end.keptEpoch).toBe(best)
    expect(end.history.at(-1)?.bestEpoch).toBe(best)
    const kept = end.history[best - 1]
    const validation = await evaluate(model, partlyWrong(), { batchSize: 128 })
    expect([validation.loss, validation.accuracy]).toEqual([kept?.validationLoss, kept?.validationAccuracy])
    const test = await evaluate(model, testRows, { batchSize: 128 })
    expect([test.loss, test.accuracy]).toEqual([
      end.history.at(-1)?.testLoss,
      end.history.at(-1)?.testAccuracy,
    ])
    const short = networkAtStart()
    const { earlyStop: _, validation: __, ...plain } = { ...options, ...changed }
    await historyOf(train(short, { ...plain, epochs: best }))
    expect(weightsOf(model)).toEqual(weightsOf(short))
  })

  it('goes on from its newest weights, with more epochs as well', async () => {
    const store = memoryStore()
    await historyOf(train(networkAtStart(), { ...options, epochs: 10, checkpoints: store }))
    const resumed = networkAtStart(2)
    const end = lastEnd(await allEvents(train(resumed, { ...options, resume: await stateIn(store) })))
    const whole = networkAtStart()
    const once = lastEnd(await allEvents(train(whole, options)))
    const losses = (history: typeof end.history) =>
      history.map(({ trainLoss, validationLoss }) => [trainLoss, validationLoss])
    expect(losses(end.history)).toEqual(losses(once.history))
    expect(end.keptEpoch).toBe(once.keptEpoch)
    expect(weightsOf(resumed)).toEqual(weightsOf(whole))
  })

  it('keeps the same weights when a run that is complete is opened again', async () => {
    const store = memoryStore()
    const whole = networkAtStart()
    const history = await historyOf(train(whole, { ...options, emaDecay: 0.5, checkpoints: store }))
    const again = networkAtStart(2)
    const run = train(again, { ...options, emaDecay: 0.5, resume: await stateIn(store) })
    expect(withoutClock(await historyOf(run))).toEqual(withoutClock(history))
    expect(weightsOf(again)).toEqual(weightsOf(whole))
  })

  it('that an earlier version began ends with its last weights', async () => {
    const store = memoryStore()
    await historyOf(train(networkAtStart(), { ...options, epochs: 10, checkpoints: store }))
    const { best: _, ...earlier } = await stateIn(store)
    const resume = readCheckpoint(writeCheckpoint(earlier), 'earlier')
    const model = networkAtStart(2)
    const end = lastEnd(await allEvents(train(model, { ...options, resume })))
    expect(end.keptEpoch).toBeUndefined()
    const { validation: __, ...withoutValidation } = options
    const plain = networkAtStart()
    await historyOf(train(plain, withoutValidation))
    expect(weightsOf(model)).toEqual(weightsOf(plain))
  })

  it('chooses among epochs in which mixtures kept as many patches as at the end', async () => {
    const { bestWith } = await import('../../src/train/best-weights.js')
    const { startRun } = await import('../../src/train/start-run.js')
    const run = await startRun(networkAtStart(), options)
    const shared = { trainLoss: 1, trainAccuracy: 1, seconds: 1, learningRate: 0.1, steps: 1 }
    run.history.push({ ...shared, epoch: 1, validationLoss: 0.1, patchesPerExpert: 8 })
    expect((await bestWith(run, { validationLoss: 0.5, patchesPerExpert: 4 }))?.epoch).toBe(2)
    expect((await bestWith(run, { validationLoss: 0.5, patchesPerExpert: 8 }))?.epoch).toBeUndefined()
    // Of equal values the first is the best.
    expect((await bestWith(run, { validationLoss: 0.1, patchesPerExpert: 8 }))?.epoch).toBeUndefined()
  })

  it('refuses the best weights of another network, and leaves the model as it was', async () => {
    const store = memoryStore()
    await historyOf(train(networkAtStart(), { ...options, epochs: 2, checkpoints: store }))
    const state = await stateIn(store)
    const resume = { ...state, best: { epoch: 1, weights: state.weights.slice(1) } }
    const model = networkAtStart(2)
    const before = weightsOf(model)
    await expect(allEvents(train(model, { ...options, resume }))).rejects.toThrow(
      "train: best epoch: checkpoint must have the model's 8 weights, got 7",
    )
    expect(weightsOf(model)).toEqual(before)
  })
})

it('a run without validation images ends with its last weights', async () => {
  const { validation: _, ...withoutValidation } = options
  const store = memoryStore()
  const model = networkAtStart()
  const end = lastEnd(await allEvents(train(model, { ...withoutValidation, checkpoints: store })))
  expect(end.keptEpoch).toBeUndefined()
  expect(end.history.every(({ bestEpoch: best }) => best === undefined)).toBe(true)
  const state = await stateIn(store)
  expect(state.best).toBeUndefined()
  expect(weightsOf(model)).toEqual(state.weights.map(([, { data }]) => [...data]))
})

async function stateIn(store: ReturnType<typeof memoryStore>): Promise<TrainState> {
  return readCheckpoint((await store.read(latestCheckpoint)) as Uint8Array, latestCheckpoint)
}
