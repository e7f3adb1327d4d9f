import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  classMargins,
  delta,
  type PmoeTheory,
  type PmoeTheoryOptions,
  pmoeTheory,
  rampLoss,
  singleModelCeiling,
} from '../../src/theory/index.js'
import { expectAllClose } from '../all-close.js'

const { pmoeTheory: goldens } = JSON.parse(readFileSync('test/goldens/bounds.json', 'utf8')) as {
  pmoeTheory: { input: PmoeTheoryOptions; output: PmoeTheory }[]
}

describe('pmoeTheory', () => {
  it.each(goldens)('has the reference ratios for $input', ({ input, output }) => {
    const theory = pmoeTheory(input)
    expect(Object.keys(theory)).toEqual(Object.keys(output))
    for (const [name, ratios] of Object.entries(output)) {
      const computed = theory[name as keyof PmoeTheory]
      expect(Object.keys(computed)).toEqual(Object.keys(ratios))
      expectAllClose(Object.values(computed), Object.values(ratios), 1e-9, 0)
    }
  })

  it('promises nothing where every patch is kept by separately trained experts', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10_000 }),
        fc.integer({ min: 1, max: 100 }),
        (patches, experts) => {
          const theory = pmoeTheory({ patches, patchesPerExpert: patches, experts })
          for (const { separateOverCnn } of Object.values(theory)) expect(separateOverCnn).toBe(1)
        },
      ),
    )
  })

  it('joins the work from iterations and kept patches', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 500 }),
        fc.integer({ min: 1, max: 500 }),
        fc.integer({ min: 1, max: 64 }),
        (a, b, experts) => {
          const [patchesPerExpert, patches] = [Math.min(a, b), Math.max(a, b)]
          const theory = pmoeTheory({ patches, patchesPerExpert, experts })
          const share = patchesPerExpert / patches
          for (const name of ['separateOverCnn', 'jointOverCnn'] as const) {
            expectAllClose([theory.work[name]], [theory.iterations[name] * share], 1e-12, 0)
            expectAllClose([theory.errorAtFixedSamples[name] ** 16], [theory.samples[name]], 1e-9, 0)
          }
        },
      ),
    )
  })

  it.each([
    [{ patches: 0 }, 'patches must be an integer of at least 1, got 0'],
    [{ experts: 1.5 }, 'experts must be an integer of at least 1, got 1.5'],
    [{ patchesPerExpert: 17 }, 'patchesPerExpert must be an integer in [1, 16], got 17 (patches 16)'],
    [{ patchesPerExpert: 0 }, 'patchesPerExpert must be an integer in [1, 16], got 0 (patches 16)'],
  ])('refuses %o', (change, message) => {
    expect(() => pmoeTheory({ patches: 16, patchesPerExpert: 2, experts: 8, ...change })).toThrow(
      new RangeError(`pmoeTheory: ${message}`),
    )
  })
})

describe('delta', () => {
  it('takes the larger of the two likenesses', () => {
    expect(delta(0.5, 0)).toBeCloseTo(4 / 3, 12)
    expect(delta(0, -0.6)).toBeCloseTo(1 / 0.64, 12)
    expect(delta(0, 0)).toBe(1)
  })

  it('refuses patches that are the same', () => {
    expect(() => delta(1, 0)).toThrow(new RangeError('delta: deltaD must be a number in (-1, 1), got 1'))
    expect(() => delta(0, -1.5)).toThrow(
      new RangeError('delta: deltaR must be a number in (-1, 1), got -1.5'),
    )
  })
})

describe('singleModelCeiling', () => {
  it('is 7/8 where the feature and its noise have one law', () => {
    expect(singleModelCeiling({ alphaRange: [0.5, 2], gammaRange: [0.5, 2] })).toBe(0.875)
  })

  it('is not known where the laws differ', () => {
    expect(singleModelCeiling({ alphaRange: [0.5, 2], gammaRange: [0.5, 3] })).toBeUndefined()
    expect(singleModelCeiling({ alphaRange: [0.4, 2], gammaRange: [0.5, 2] })).toBeUndefined()
  })

  it('refuses ranges that are none', () => {
    expect(() => singleModelCeiling({ alphaRange: [2, 0.5], gammaRange: [0.5, 2] })).toThrow(
      new RangeError(
        'singleModelCeiling: alphaRange must be [low, high] of finite numbers in order, got [2,0.5]',
      ),
    )
    expect(() => singleModelCeiling({ alphaRange: [0, 1], gammaRange: [0, Infinity] })).toThrow(
      'gammaRange must be [low, high] of finite numbers in order, got [0,null]',
    )
  })
})

describe('rampLoss', () => {
  it('falls from 1 at a margin of 0 to 0 at the width', () => {
    expect([-3, 0, 0.5, 1.5, 2, 7].map(margin => rampLoss(margin, 2))).toEqual([1, 1, 0.75, 0.25, 0, 0])
    expect(rampLoss(0.25)).toBe(0.75)
  })

  it('has slopes of at most 1/width, and is never below the loss of wrong answers', () => {
    const number = fc.double({ min: -100, max: 100, noNaN: true })
    fc.assert(
      fc.property(number, number, fc.double({ min: 0.01, max: 50, noNaN: true }), (a, b, width) => {
        expect(Math.abs(rampLoss(a, width) - rampLoss(b, width))).toBeLessThanOrEqual(
          Math.abs(a - b) / width + 1e-12,
        )
        expect(rampLoss(a, width)).toBeGreaterThanOrEqual(a <= 0 ? 1 : 0)
      }),
    )
  })

  it('refuses widths and margins that are none', () => {
    expect(() => rampLoss(1, 0)).toThrow(new RangeError('rampLoss: width must be a number above 0, got 0'))
    expect(() => rampLoss(Number.NaN)).toThrow(new RangeError('rampLoss: margin must be a number, got NaN'))
  })
})

describe('classMargins', () => {
  it('takes the best of the other classes from the own one', () => {
    expect([...classMargins([1, 4, 2, 0, 0, 0], [1, 2], 3)]).toEqual([2, 0])
    expect([...classMargins([1, 4, 2], [0], 3)]).toEqual([-3])
  })

  it('reads one output as that of two classes', () => {
    expect([...classMargins([2, -3, -1], [1, 0, 1], 1)]).toEqual([2, 3, -1])
  })

  it('refuses what does not fit', () => {
    expect(() => classMargins([1, 2, 3], [0], 2)).toThrow(
      new RangeError('classMargins: logits must be 2 numbers, got 3 (1 labels, 2 outputs)'),
    )
    expect(() => classMargins([1, 2], [2], 2)).toThrow(
      new RangeError('classMargins: labels must be integers in [0, 1], got 2 (item 0)'),
    )
    expect(() => classMargins([1], [2], 1)).toThrow('labels must be integers in [0, 1], got 2 (item 0)')
  })
})
