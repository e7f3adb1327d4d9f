import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { samplesNeeded, samplesRatio } from '../../src/statistics/samples-needed.js'
import type { Trial } from '../../src/statistics/trial.js'

/** Trials of one seed: accuracies at 100, 200, 300, ... images. */
const seed = (number: number, ...accuracies: readonly number[]): Trial[] =>
  accuracies.map((accuracy, i) => ({ samples: 100 * (i + 1), seed: number, accuracy }))

describe('samplesNeeded', () => {
  it('interpolates the mean curve, by hand', () => {
    // Means 0.8, 0.9, 0.96: 0.95 lies 5/6 of the way from 200 to 300.
    const trials = [...seed(1, 0.75, 0.9, 0.97), ...seed(2, 0.85, 0.9, 0.95)]
    const needed = samplesNeeded(trials, 0.95)
    expect(needed).toMatchObject({ target: 0.95, reached: 'within' })
    expect(needed.samples).toBeCloseTo(200 + 500 / 6, 9)
    // Draws: seed 1 twice (200 + 500/7), seed 2 twice (300), both (283.3); each end has a quarter.
    expect(needed.interval?.lower).toBeCloseTo(200 + 500 / 7, 9)
    expect(needed.interval?.upper).toBeCloseTo(300, 9)
  })

  it('averages neighbours that fall before it interpolates', () => {
    // 0.5, 0.9, 0.7, 0.95 becomes 0.5, 0.8, 0.8, 0.95: 0.85 lies a third of the way from 300 to 400.
    expect(samplesNeeded(seed(1, 0.5, 0.9, 0.7, 0.95), 0.85).samples).toBeCloseTo(300 + 100 / 3, 9)
    // A later pool that falls below takes the earlier one along: all 0.6.
    expect(samplesNeeded(seed(1, 0.8, 0.7, 0.3), 0.6)).toMatchObject({
      samples: 100,
      reached: 'at the fewest',
    })
    expect(samplesNeeded(seed(1, 0.8, 0.7, 0.3), 0.61)).toMatchObject({ samples: Infinity, reached: 'never' })
  })

  it('claims no interval for a single seed', () => {
    expect(samplesNeeded(seed(1, 0.5, 0.9), 0.7)).toEqual({ target: 0.7, samples: 150, reached: 'within' })
  })

  it('has an interval without an upper end where some draws never reach the target', () => {
    const trials = [...seed(1, 0.5, 0.95), ...seed(2, 0.5, 0.7)]
    expect(samplesNeeded(trials, 0.9)).toMatchObject({ samples: Infinity, interval: { upper: Infinity } })
  })

  it('never falls as the target rises', () => {
    const accuracy = fc.double({ min: 0, max: 1, noNaN: true })
    const target = fc.double({ min: 0.01, max: 1, noNaN: true })
    fc.assert(
      fc.property(fc.array(accuracy, { minLength: 1, maxLength: 6 }), target, target, (curve, a, b) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)]
        const trials = seed(1, ...curve)
        expect(samplesNeeded(trials, low).samples).toBeLessThanOrEqual(samplesNeeded(trials, high).samples)
      }),
    )
  })

  it('refuses a target that is no share', () => {
    expect(() => samplesNeeded(seed(1, 0.5), 95)).toThrow('samplesNeeded: target must be in (0, 1], got 95')
  })
})

describe('samplesRatio', () => {
  it('divides, and draws the same seeds for both', () => {
    // The model needs exactly half of the baseline's images in every seed: every draw gives about 1/2.
    const model = [...seed(1, 0.8, 0.9, 1), ...seed(2, 0.8, 0.9, 1)]
    const baseline = [1, 2].flatMap(number => [
      { samples: 200, seed: number, accuracy: 0.8 },
      { samples: 400, seed: number, accuracy: 0.9 },
      { samples: 600, seed: number, accuracy: 1 },
    ])
    const found = samplesRatio(model, baseline, 0.95)
    expect(found.ratio).toBeCloseTo(0.5, 9)
    expect(found.interval?.lower).toBeCloseTo(0.5, 9)
    expect(found.interval?.upper).toBeCloseTo(0.5, 9)
    expect(found.undetermined).toBe(0)
    expect([found.model.samples, found.baseline.samples]).toEqual([250, 500].map(n => expect.closeTo(n, 6)))
  })

  it('is 0 where only the baseline never arrives, NaN where neither does', () => {
    const low = [...seed(1, 0.5, 0.6), ...seed(2, 0.5, 0.6)]
    const high = [...seed(1, 0.5, 1), ...seed(2, 0.5, 1)]
    expect(samplesRatio(high, low, 0.9)).toMatchObject({ ratio: 0, interval: { lower: 0, upper: 0 } })
    expect(samplesRatio(low, low, 0.9)).toMatchObject({ ratio: Number.NaN, undetermined: 1 })
    expect(samplesRatio(low, low, 0.9)).not.toHaveProperty('interval')
  })

  it('says how many draws were undetermined', () => {
    // Only seed 1 ever reaches 0.9, and alone: a draw of both, or of seed 2 twice, reaches it with neither model.
    const either = [...seed(1, 0.5, 0.95), ...seed(2, 0.5, 0.7)]
    expect(samplesRatio(either, either, 0.9, { resamples: 4000 }).undetermined).toBeCloseTo(0.75, 1)
  })
})
