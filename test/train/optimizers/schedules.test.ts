import * as fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import type { EpochMetrics } from '../../../src/train/events.js'
import { train } from '../../../src/train/loop.js'
import {
  checkScheduleFits,
  checkScheduleOptions,
  dependsOnEpochs,
  SCHEDULES,
  type ScheduleOptions,
  scheduledRate,
} from '../../../src/train/optimizers/schedules.js'
import { expectAllClose } from '../../all-close.js'
import { useTestBackend } from '../../backend-under-test.js'
import { brightRows, denseModel, historyOf } from '../tasks.js'

beforeAll(() => useTestBackend())

/** The rates of all steps of a run whose epochs had these losses. */
function ratesOf(
  options: ScheduleOptions,
  { epochs, stepsPerEpoch, losses = [] }: { epochs: number; stepsPerEpoch: number; losses?: number[] },
): number[] {
  return Array.from({ length: epochs * stepsPerEpoch }, (_, step) => {
    const history = losses
      .slice(0, Math.floor(step / stepsPerEpoch))
      .map((validationLoss, i) => ({ epoch: i + 1, validationLoss }))
    return scheduledRate({ learningRate: 1, ...options }, { step, stepsPerEpoch, epochs, history })
  })
}

describe('the learning rate', () => {
  it('stays without a schedule', () => {
    expect(ratesOf({}, { epochs: 2, stepsPerEpoch: 2 })).toEqual([1, 1, 1, 1])
  })

  it('falls half a wave with cosine', () => {
    const rates = ratesOf({ schedule: 'cosine' }, { epochs: 2, stepsPerEpoch: 2 })
    expectAllClose(rates, [1, (1 + Math.SQRT1_2) / 2, 0.5, (1 - Math.SQRT1_2) / 2], 0, 1e-12)
  })

  it('falls in steps, every third of the run or as often as is asked', () => {
    const run = { epochs: 6, stepsPerEpoch: 1 }
    expectAllClose(ratesOf({ schedule: 'step' }, run), [1, 1, 0.1, 0.1, 0.01, 0.01], 0, 1e-12)
    expect(ratesOf({ schedule: 'step', decayEpochs: 4, decayRate: 0.5 }, run)).toEqual([1, 1, 1, 1, 0.5, 0.5])
    expect(
      ratesOf({ schedule: 'step', decayEpochs: 1, decayRate: 0.5 }, { epochs: 2, stepsPerEpoch: 3 }),
    ).toEqual([1, 1, 1, 0.5, 0.5, 0.5])
  })

  it('rises and falls once with one-cycle', () => {
    const rates = ratesOf({ schedule: 'one-cycle' }, { epochs: 10, stepsPerEpoch: 2 })
    // 20 steps: 6 of them rise, half of the way after 3; 14 fall, half of the way after 7.
    expectAllClose([rates[0], rates[3], rates[6], rates[13]], [0.04, 0.52, 1, (1 + 4e-6) / 2], 0, 1e-12)
    expect(rates.at(-1)).toBeLessThan(0.02)
  })

  it('falls on a plateau of the validation loss, after which the count begins anew', () => {
    const losses = [3, 2, 2, 2.5, 2, 2, 1.9, 1.95, 1.9]
    const rates = ratesOf(
      { schedule: 'plateau', patienceEpochs: 2, decayRate: 0.5 },
      { epochs: 10, stepsPerEpoch: 1, losses },
    )
    // Epoch 4 is the second without a loss below 2, epoch 6 the second after it, epoch 9 the second above 1.9.
    expect(rates).toEqual([1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125])
  })

  it('rises in equal parts to where the schedule begins, which has the rest of the run', () => {
    expectAllClose(
      ratesOf({ warmupEpochs: 1 }, { epochs: 2, stepsPerEpoch: 4 }),
      [0.25, 0.5, 0.75, 1, 1, 1, 1, 1],
    )
    const run = { epochs: 5, stepsPerEpoch: 2 }
    const cosine = ratesOf({ schedule: 'cosine', warmupEpochs: 1.5 }, run)
    expectAllClose(cosine.slice(0, 3), [1 / 3, 2 / 3, 1], 0, 1e-12)
    expectAllClose(cosine.slice(3, 5), [1, (1 + Math.cos(Math.PI / 7)) / 2], 0, 1e-12)
    const step = ratesOf({ schedule: 'step', warmupEpochs: 1, decayEpochs: 2 }, run)
    expectAllClose(step, [0.5, 1, 1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1], 0, 1e-12)
    const cycle = ratesOf({ schedule: 'one-cycle', warmupEpochs: 1 }, run)
    expectAllClose(cycle.slice(0, 3), [0.02, 0.04, 0.04], 0, 1e-12)
    // What was measured during the warm-up says nothing of a plateau.
    const losses = [1, 2, 2, 2]
    const plateau = ratesOf({ schedule: 'plateau', warmupEpochs: 1, patienceEpochs: 2 }, { ...run, losses })
    expectAllClose(plateau.slice(2), [1, 1, 1, 1, 1, 1, 0.1, 0.1], 0, 1e-12)
  })

  it('has at least the last step, where a warm-up rounds to the whole run', () => {
    const run = { epochs: 3, stepsPerEpoch: 1 }
    expectAllClose(ratesOf({ schedule: 'cosine', warmupEpochs: 2.9 }, run), [1 / 2, 1, 1], 0, 1e-12)
  })

  it('is above 0 and never above the one given, whatever the schedule', () => {
    const options = fc.record({
      schedule: fc.constantFrom(...SCHEDULES),
      warmupEpochs: fc.double({ min: 0, max: 2.9, noNaN: true }),
    })
    const losses = fc.array(fc.double({ min: 0, max: 9, noNaN: true }), { minLength: 8, maxLength: 8 })
    fc.assert(
      fc.property(
        options,
        fc.integer({ min: 3, max: 8 }),
        fc.integer({ min: 1, max: 7 }),
        losses,
        (given, epochs, stepsPerEpoch, lossesOfEpochs) => {
          for (const rate of ratesOf(given, { epochs, stepsPerEpoch, losses: lossesOfEpochs })) {
            expect(rate).toBeGreaterThan(0)
            expect(rate).toBeLessThanOrEqual(1)
          }
        },
      ),
    )
  })

  it('is reported for the last step of each epoch, and follows the loss of a training', async () => {
    const optimizer = { name: 'adam', learningRate: 0.1, schedule: 'cosine', clipNorm: 0.5 } as const
    const options = { train: brightRows(8, 3, 1), batchSize: 4, seed: 1 }
    const cosine = await historyOf(train(denseModel(), { ...options, epochs: 3, optimizer }))
    const rateAfter = (steps: number) => 0.05 * (1 + Math.cos((Math.PI * steps) / 6))
    expectAllClose(rates(cosine), [rateAfter(1), rateAfter(3), rateAfter(5)])
    // A rate of 1e-30 changes nothing: no loss is below the first.
    const plateau = await historyOf(
      train(denseModel(), {
        ...options,
        test: brightRows(8, 3, 2),
        epochs: 4,
        optimizer: { name: 'sgd', learningRate: 1e-30, schedule: 'plateau', patienceEpochs: 1 },
      }),
    )
    expectAllClose(
      rates(plateau).map(rate => rate * 1e30),
      [1, 1, 0.1, 0.01],
    )
  })
})

function rates(history: readonly EpochMetrics[]): number[] {
  return history.map(({ learningRate }) => learningRate)
}

describe('a schedule is refused', () => {
  it.each([
    [
      { schedule: 'linear' },
      'optimizer: schedule must be one of constant, cosine, step, one-cycle, plateau, got linear',
    ],
    [{ decayEpochs: 3 }, 'optimizer: decayEpochs must be left out for schedule constant, got 3'],
    [
      { schedule: 'cosine', decayRate: 0.5 },
      'optimizer: decayRate must be left out for schedule cosine, got 0.5',
    ],
    [
      { schedule: 'step', patienceEpochs: 2 },
      'optimizer: patienceEpochs must be left out for schedule step, got 2',
    ],
    [{ warmupEpochs: -1 }, 'optimizer: warmupEpochs must be a number of at least 0, got -1'],
    [{ warmupEpochs: Number.NaN }, 'optimizer: warmupEpochs must be a number of at least 0, got NaN'],
    [{ schedule: 'step', decayRate: 1 }, 'optimizer: decayRate must be in (0, 1), got 1'],
    [{ schedule: 'step', decayEpochs: 0.5 }, 'optimizer: decayEpochs must be a positive integer, got 0.5'],
    [
      { schedule: 'plateau', patienceEpochs: 0 },
      'optimizer: patienceEpochs must be a positive integer, got 0',
    ],
  ])('for what it is: %o', (options, message) => {
    expect(() => checkScheduleOptions(options as ScheduleOptions)).toThrow(new RangeError(message))
  })

  it.each([
    [{ warmupEpochs: 40 }, 'train: warmupEpochs must be less than epochs, got 40 (epochs 30)'],
    [
      { schedule: 'cosine', warmupEpochs: 30 },
      'train: warmupEpochs must be less than epochs, got 30 (epochs 30)',
    ],
    [
      { schedule: 'step', decayEpochs: 30 },
      'train: decayEpochs must be less than epochs, got 30 (schedule step, epochs 30)',
    ],
    [
      { schedule: 'step', decayEpochs: 28, warmupEpochs: 5 },
      'train: decayEpochs must be less than epochs after the warm-up, got 28 (schedule step, epochs 30, warmupEpochs 5)',
    ],
    [
      { schedule: 'plateau', patienceEpochs: 31 },
      'train: patienceEpochs must be less than epochs, got 31 (schedule plateau, epochs 30)',
    ],
    [{ schedule: 'plateau' }, 'train: schedule plateau must come with a validation or test set, got none'],
  ] as const)('where it does not fit the run: %o', (options, message) => {
    expect(() => checkScheduleFits(options, { epochs: 30, isEvaluated: false })).toThrow(
      new RangeError(message),
    )
  })

  it('before a run begins, and not where it fits', async () => {
    const model = denseModel()
    const run = train(model, {
      train: brightRows(8, 3, 1),
      epochs: 3,
      batchSize: 4,
      seed: 1,
      optimizer: { name: 'sgd', learningRate: 0.1, warmupEpochs: 3 },
    })
    await expect(historyOf(run)).rejects.toThrow(
      'train: warmupEpochs must be less than epochs, got 3 (epochs 3)',
    )
    for (const schedule of SCHEDULES) {
      const options = { schedule, warmupEpochs: 0.5 }
      expect(() => checkScheduleOptions(options)).not.toThrow()
      expect(() => checkScheduleFits(options, { epochs: 7, isEvaluated: true })).not.toThrow()
    }
  })

  it('to go on for another number of epochs, where the rates depend on it', () => {
    expect(dependsOnEpochs({ schedule: 'step' })).toBe(true)
    expect(dependsOnEpochs({ schedule: 'step', decayEpochs: 10 })).toBe(false)
    expect(dependsOnEpochs({ schedule: 'plateau', warmupEpochs: 3 })).toBe(false)
    expect(dependsOnEpochs({ schedule: 'one-cycle' })).toBe(true)
  })
})
