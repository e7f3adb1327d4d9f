import { beforeAll, describe, expect, it } from 'vitest'
import { latestCheckpoint, memoryStore, readCheckpoint } from '../../src/train/checkpoint.js'
import { evaluate } from '../../src/train/evaluate.js'
import { type TrainOptions, train } from '../../src/train/loop.js'
import { type LossStop, stopsByLoss } from '../../src/train/loss-stop.js'
import { useTestBackend } from '../backend-under-test.js'
import { allEvents, brightRows, denseModel, historyOf, weightsOf, withoutClock } from './tasks.js'

beforeAll(() => useTestBackend())

const rows = brightRows(30, 3, 1)
const base: TrainOptions = {
  train: rows,
  test: brightRows(21, 3, 2),
  epochs: 12,
  batchSize: 30,
  optimizer: { name: 'sgd', learningRate: 0.5 },
  seed: 5,
  evaluateEvery: 50,
}

/** An epoch for each loss. */
function epochs(...losses: number[]) {
  return losses.map((trainLoss, i) => ({ epoch: i + 1, trainLoss }))
}

describe('stopsByLoss', () => {
  it.each<[number[], LossStop, boolean]>([
    [[], { lossAtMost: 1 }, false],
    [[0.5, 0.314], { lossAtMost: 0.314 }, true],
    [[0.5, 0.3141], { lossAtMost: 0.314 }, false],
    [[0.5, 0.4, 0.43], { lossAboveBest: 0.02 }, true],
    [[0.5, 0.4, 0.419], { lossAboveBest: 0.02 }, false],
    // The first epoch has none before it.
    [[9], { lossAboveBest: 0 }, false],
    [[0.4, 0.5], { lossAboveBest: 0.02, afterEpoch: 2 }, false],
    [[0.4, 0.5, 0.43], { lossAboveBest: 0.02, afterEpoch: 2 }, true],
    [[0.4, 0.3], { lossAboveBest: 0.02, lossAtMost: 0.3, afterEpoch: 9 }, true],
  ])('losses %j with %j: %s', (losses, stop, expected) => {
    expect(stopsByLoss(epochs(...losses), stop)).toBe(expected)
  })
})

describe('a run with stopWhen', () => {
  it('equals one without as long as nothing stops it', async () => {
    const [watched, free] = [denseModel(), denseModel()]
    const history = await historyOf(train(watched, { ...base, stopWhen: { lossAtMost: 0 } }))
    expect(withoutClock(history)).toEqual(withoutClock(await historyOf(train(free, base))))
    expect(weightsOf(watched)).toEqual(weightsOf(free))
  })

  it('ends before the step of the loss that stops it, and tests the weights that remain', async () => {
    const free = await historyOf(train(denseModel(), base))
    const limit = free[5]?.trainLoss ?? Number.NaN
    const model = denseModel()
    const events = await allEvents(train(model, { ...base, stopWhen: { lossAtMost: limit } }))
    const twin = denseModel()
    await historyOf(train(twin, { ...base, epochs: 5 }))
    expect(weightsOf(model)).toEqual(weightsOf(twin))
    const history = events.flatMap(event => (event.type === 'epoch' ? [event] : []))
    expect(history.map(({ steps }) => steps)).toEqual([1, 2, 3, 4, 5, 5])
    expect(history.at(-1)).toMatchObject({ epoch: 6, trainLoss: limit })
    const { loss } = await evaluate(model, rows, { batchSize: 30 })
    expect(loss).toBeCloseTo(limit, 5)
    const tested = await evaluate(model, brightRows(21, 3, 2), { batchSize: 128 })
    expect(history.at(-1)).toMatchObject({ testLoss: tested.loss, testAccuracy: tested.accuracy })
    expect(events.at(-2)).toEqual({ type: 'stop', reason: 'early-stop', epoch: 6, step: 0 })
    expect(events.filter(({ type }) => type === 'step')).toHaveLength(5)
  })

  it('stays ended when it is resumed', async () => {
    const free = await historyOf(train(denseModel(), base))
    const options = { ...base, stopWhen: { lossAtMost: free[5]?.trainLoss ?? 0 } }
    const store = memoryStore()
    const model = denseModel()
    const history = await historyOf(train(model, { ...options, checkpoints: store }))
    const bytes = await store.read(latestCheckpoint)
    if (!bytes) throw new Error('no checkpoint')
    const resumed = denseModel({ seed: 3 })
    const again = await historyOf(train(resumed, { ...options, resume: readCheckpoint(bytes, 'test') }))
    expect(again).toEqual(history)
    expect(weightsOf(resumed)).toEqual(weightsOf(model))
  })

  it('stops where the loss leaps', async () => {
    const leaping: TrainOptions = { ...base, optimizer: { name: 'sgd', learningRate: 40 }, epochs: 8 }
    const history = await historyOf(train(denseModel(), { ...leaping, stopWhen: { lossAboveBest: 0.02 } }))
    const losses = history.map(({ trainLoss }) => trainLoss)
    expect(losses.at(-1)).toBeGreaterThan(Math.min(...losses.slice(0, -1)) + 0.02)
    expect(history.length).toBeLessThan(8)
  })

  it('is refused where it cannot be meant', async () => {
    const refused = (stopWhen: LossStop, message: string, more: Partial<TrainOptions> = {}) =>
      expect(historyOf(train(denseModel(), { ...base, ...more, stopWhen }))).rejects.toThrow(
        new RangeError(`train: stopWhen${message}`),
      )
    await refused({}, ' must have lossAtMost or lossAboveBest, got neither')
    await refused({ lossAtMost: -1 }, '.lossAtMost must be a number of at least 0, got -1')
    await refused({ lossAboveBest: Number.NaN }, '.lossAboveBest must be a number of at least 0, got NaN')
    await refused({ lossAtMost: 1, afterEpoch: 5 }, '.afterEpoch must come with lossAboveBest, got 5 alone')
    await refused(
      { lossAboveBest: 1, afterEpoch: 1.5 },
      '.afterEpoch must be an integer of at least 0, got 1.5',
    )
    await refused({ lossAtMost: 1 }, ' must be for a batch of all training images, got 4 steps an epoch', {
      batchSize: 8,
    })
  })
})

describe('a run with lossForm', () => {
  it('minimises the loss of that form, reports its floor, and evaluates by it', async () => {
    const model = denseModel()
    const options: TrainOptions = { ...base, lossForm: 'cross-entropy-of-probabilities', epochs: 40 }
    const events = await allEvents(train(model, options))
    const floor = Math.log(1 + 2 / Math.E)
    expect(events[0]).toHaveProperty('lossFloor', floor)
    const losses = events.flatMap(event => (event.type === 'epoch' ? [event.trainLoss] : []))
    expect(losses.at(-1)).toBeLessThan(losses[0] ?? 0)
    expect(losses.every(loss => loss > floor)).toBe(true)
    const last = events.findLast(event => event.type === 'epoch')
    const { loss } = await evaluate(model, brightRows(21, 3, 2), {
      batchSize: 128,
      lossForm: options.lossForm!,
    })
    expect(last).toHaveProperty('testLoss', loss)
    const plain = await evaluate(model, brightRows(21, 3, 2), { batchSize: 128 })
    expect(plain.loss).not.toBeCloseTo(loss, 2)
    expect((await allEvents(train(denseModel(), { ...base, epochs: 1 })))[0]).not.toHaveProperty('lossFloor')
  })

  it('is refused for one output, and where it is unknown', async () => {
    const pairs = brightRows(8, 2, 1)
    const binary = { ...base, train: pairs, test: pairs, batchSize: 8 }
    const model = denseModel({ outputs: 1 })
    await expect(
      historyOf(train(model, { ...binary, lossForm: 'cross-entropy-of-probabilities' })),
    ).rejects.toThrow(
      new RangeError(
        'lossOf: lossForm must be cross-entropy for 1 output, got cross-entropy-of-probabilities (which needs a probability for each class)',
      ),
    )
    await expect(historyOf(train(denseModel(), { ...base, lossForm: 'hinge' as never }))).rejects.toThrow(
      new RangeError('lossOf: lossForm must be cross-entropy or cross-entropy-of-probabilities, got hinge'),
    )
  })
})

it('adds the L2 penalty to the gradients of the other optimizers: w <- w - rate (g + l2 w)', async () => {
  const [plain, penalized] = [denseModel(), denseModel()]
  const before = weightsOf(plain)
  const once = { ...base, epochs: 1 }
  await historyOf(train(plain, once))
  await historyOf(train(penalized, { ...once, optimizer: { ...once.optimizer, l2: 0.1 } }))
  for (const [i, weight] of weightsOf(penalized).entries()) {
    for (const [j, value] of weight.entries()) {
      const expected = (weightsOf(plain)[i]?.[j] ?? 0) - 0.5 * 0.1 * (before[i]?.[j] ?? 0)
      expect(value).toBeCloseTo(expected, 5)
    }
  }
})
