import { describe, expect, it } from 'vitest'
import { pairedDifferences } from '../../src/statistics/paired-difference.js'
import type { Trial } from '../../src/statistics/trial.js'

const trials = (samples: number, accuracies: readonly number[]): Trial[] =>
  accuracies.map((accuracy, seed) => ({ samples, seed, accuracy }))

describe('pairedDifferences', () => {
  it('subtracts seed by seed, as worked by hand', () => {
    const model = [...trials(300, [0.9, 0.8, 0.85]), ...trials(100, [0.7, 0.6])]
    const baseline = [...trials(100, [0.5, 0.7]), ...trials(300, [0.8, 0.75, 0.7])]
    const [at100, at300] = pairedDifferences(model, baseline)
    // 0.2 and -0.1: mean 0.05, squares 2 * 0.15^2 over 1.
    expect(at100).toMatchObject({ samples: 100, count: 2, ahead: 1, behind: 1, signTest: 1 })
    expect(at100?.mean).toBeCloseTo(0.05, 12)
    expect(at100?.standardDeviation).toBeCloseTo(Math.sqrt(0.045), 12)
    expect(at100?.interval?.lower).toBeCloseTo(-0.1, 12)
    expect(at100?.interval?.upper).toBeCloseTo(0.2, 12)
    // |0.05| * 2 = 0.1 is reached by +-0.3 and +-0.1 alike: every assignment of signs.
    expect(at100?.permutationTest).toBe(1)
    // 0.1, 0.05, 0.15: all ahead, 2 of 8 assignments.
    expect(at300).toMatchObject({ samples: 300, count: 3, ahead: 3, behind: 0, permutationTest: 0.25 })
    expect(at300?.mean).toBeCloseTo(0.1, 12)
    expect(at300?.signTest).toBe(0.25)
  })

  it('leaves out trials without a partner', () => {
    const model = [...trials(100, [0.9, 0.8]), ...trials(200, [0.9])]
    const baseline = [{ samples: 100, seed: 1, accuracy: 0.7 }]
    const found = pairedDifferences(model, baseline)
    expect(found).toMatchObject([{ samples: 100, count: 1, ahead: 1 }])
    expect(found[0]?.mean).toBeCloseTo(0.1, 12)
    expect(found[0]).not.toHaveProperty('interval')
  })

  it.each([
    [[], 'trials must hold at least 1 trial, got 0'],
    [trials(100, [95]), 'accuracy must be in [0, 1], got 95 (100 samples, seed 0)'],
    [trials(0, [0.9]), 'samples must be above 0, got 0 (seed 0)'],
    [
      [...trials(100, [0.9]), ...trials(100, [0.8])],
      'trials must differ in samples or seed, got 100 samples, seed 0 twice',
    ],
  ])('refuses malformed trials', (model, message) => {
    expect(() => pairedDifferences(model, trials(100, [0.5]))).toThrow(
      new RangeError(`pairedDifferences: model: ${message}`),
    )
  })
})
