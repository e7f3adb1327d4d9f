import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { signFlipTest, signTest } from '../../src/statistics/sign-test.js'

describe('signTest', () => {
  it('of five differences above 0 is 2/32', () => {
    expect(signTest([1, 2, 3, 0.1, 5])).toBe(0.0625)
  })

  it('of eight above and one below is 20/512; zeros do not count', () => {
    // 2 (C(9,0) + C(9,1)) / 2^9
    expect(signTest([1, 1, 1, 1, 0, 1, 1, 1, 1, -9])).toBeCloseTo(20 / 512, 12)
  })

  it('is 1 for an even split and for no difference at all', () => {
    expect(signTest([1, -1, 2, -2])).toBe(1)
    expect(signTest([0, 0])).toBe(1)
  })

  it('refuses what is not finite', () => {
    expect(() => signTest([0, Infinity])).toThrow(
      'signTest: differences must be finite, got Infinity (number 1)',
    )
  })
})

describe('signFlipTest', () => {
  it('counts the assignments of signs, by hand', () => {
    // Sums of +-1 +-2 +-3: +-6 twice, +-4, +-2, 0 twice. Found 1 + 3 - 2 = 2: |sum| >= 2 in 6 of 8.
    expect(signFlipTest([1, -2, 3])).toBe(6 / 8)
    // Found 6: in 2 of 8.
    expect(signFlipTest([1, 2, 3])).toBe(2 / 8)
  })

  it('of five pairs never goes below 1/16', () => {
    expect(signFlipTest([0.031, 0.052, 0.048, 0.011, 0.039])).toBe(0.0625)
  })

  it('does not depend on the order, where sums round differently', () => {
    const differences = [0.1, 0.2, 0.3, -0.4, 0.05]
    fc.assert(
      fc.property(fc.shuffledSubarray(differences, { minLength: 5 }), shuffled => {
        expect(signFlipTest(shuffled)).toBe(signFlipTest(differences))
      }),
    )
  })

  it('of many pairs agrees with the exact test where both can be had', () => {
    // Nine differences of one size: the exact p of 17 pairs of +-1 is a binomial tail.
    const differences = [...new Array<number>(13).fill(1), ...new Array<number>(4).fill(-1)]
    // |sum| >= 9 means at most 4 or at least 13 above: 2 (1 + 17 + 136 + 680 + 2380) / 2^17.
    expect(signFlipTest(differences, 7)).toBeCloseTo((2 * 3214) / 2 ** 17, 2)
    expect(signFlipTest(differences, 7)).toBe(signFlipTest(differences, 7))
  })

  it('refuses no differences', () => {
    expect(() => signFlipTest([])).toThrow('signFlipTest: differences must hold at least 1 number, got 0')
  })
})
