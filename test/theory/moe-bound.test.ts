import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type LinearRouter,
  linearRouterDimension,
  type SmoeBound,
  type SmoeBoundOptions,
  smoeBound,
} from '../../src/theory/index.js'
import { expectAllClose } from '../all-close.js'

interface Case<Input, Output> {
  readonly input: Input
  readonly output: Output
}
const goldens = JSON.parse(readFileSync('test/goldens/bounds.json', 'utf8')) as {
  smoeBound: Case<SmoeBoundOptions, SmoeBound>[]
  linearRouterDimension: Case<LinearRouter, number>[]
}

const clusters = {
  experts: 8,
  active: 1,
  samples: 16_000,
  routerDimension: 400,
  expertComplexity: 0.01,
} as const

/** Settings of any kind; k is in [1, T]. */
const settings = fc
  .record({
    experts: fc.integer({ min: 1, max: 5000 }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    samples: fc.integer({ min: 1, max: 1e7 }),
    routerDimension: fc.integer({ min: 0, max: 1e6 }),
    delta: fc.double({ min: 1e-6, max: 0.999, noNaN: true }),
    lipschitz: fc.double({ min: 1e-3, max: 100, noNaN: true }),
    expertComplexity: fc.double({ min: 0, max: 10, noNaN: true }),
  })
  .map(({ share, ...rest }) => ({ ...rest, active: 1 + Math.floor(share * (rest.experts - 1)) }))

describe('smoeBound', () => {
  it.each(goldens.smoeBound)('has the reference value for $input', ({ input, output }) => {
    const bound = smoeBound(input)
    expect(Object.keys(bound).sort()).toEqual(Object.keys(output).sort())
    expect(bound.vacuous).toBe(output.vacuous)
    expect(bound.samplesForRouterTermBelowOne).toBe(output.samplesForRouterTermBelowOne)
    for (const [name, value] of Object.entries(output)) {
      if (typeof value === 'number')
        expectAllClose([bound[name as keyof SmoeBound] as number], [value], 1e-9, 0)
    }
  })

  it('is the formula, by hand', () => {
    // k (1 + ln(T/k)) = 1 + ln 2; d_N = 3; m = 2: [2 3 (1 + ln 2) + 3 ln 4 + ln 8] / 4 under the root; ln C(2,1) = ln 2.
    const bound = smoeBound({
      experts: 2,
      active: 1,
      samples: 2,
      routerDimension: 3,
      delta: 0.5,
      lipschitz: 2,
      expertComplexity: 0.25,
    })
    const rest = 3 * Math.log(4) + Math.log(8)
    expect(bound.expertTerm).toBe(2)
    expect(bound.routerTerm).toBeCloseTo(2 * Math.sqrt((6 * (1 + Math.LN2) + rest) / 4), 12)
    expect(bound.exactRouterTerm).toBeCloseTo(2 * Math.sqrt((6 * Math.LN2 + rest) / 4), 12)
    expect(bound.bound).toBe(bound.expertTerm + bound.routerTerm)
    expect(bound.vacuous).toBe(true)
  })

  it('takes delta 0.05 and a loss of slope 1 unless told', () => {
    expect(smoeBound(clusters)).toEqual(smoeBound({ ...clusters, delta: 0.05, lipschitz: 1 }))
  })

  it('counts one mask where all experts are active, and nothing where the router has no dimension', () => {
    // ln C(T,T) = 0: what is left is d_N ln(2m) + ln(4/delta).
    const all = smoeBound({ ...clusters, active: 8 })
    const left = 400 * Math.log(32_000) + Math.log(80)
    expect(all.exactRouterTerm).toBeCloseTo(2 * Math.sqrt(left / 32_000), 12)
    expect(all.routerTerm).toBeCloseTo(2 * Math.sqrt((2 * 8 * 400 + left) / 32_000), 12)
    const none = smoeBound({ ...clusters, routerDimension: 0 })
    expect(none.routerTerm).toBeCloseTo(2 * Math.sqrt(Math.log(80) / 32_000), 12)
    expect(none.exactRouterTerm).toBe(none.routerTerm)
  })

  it('is vacuous from a bound of 1 on', () => {
    const { routerTerm } = smoeBound(clusters)
    expect(smoeBound({ ...clusters, expertComplexity: (1 - routerTerm) / 4 - 1e-9 }).vacuous).toBe(false)
    expect(smoeBound({ ...clusters, expertComplexity: (1 - routerTerm) / 4 + 1e-9 }).vacuous).toBe(true)
  })

  it('never counts more masks than the closed form, and rises and falls as the theorem says', () => {
    fc.assert(
      fc.property(settings, setting => {
        const bound = smoeBound(setting)
        expect(bound.exactRouterTerm).toBeLessThanOrEqual(bound.routerTerm)
        const more = (change: Partial<SmoeBoundOptions>) => smoeBound({ ...setting, ...change })
        expect(more({ samples: setting.samples + 1 }).routerTerm).toBeLessThan(bound.routerTerm)
        expect(more({ delta: setting.delta / 2 }).routerTerm).toBeGreaterThan(bound.routerTerm)
        expect(more({ routerDimension: setting.routerDimension + 1 }).routerTerm).toBeGreaterThan(
          bound.routerTerm,
        )
        expect(more({ experts: setting.experts + 1 }).routerTerm).toBeGreaterThanOrEqual(bound.routerTerm)
        expect(more({ lipschitz: setting.lipschitz * 2 }).expertTerm).toBeCloseTo(2 * bound.expertTerm, 9)
        if (setting.active === setting.experts) return
        expect(more({ active: setting.active + 1 }).routerTerm).toBeGreaterThanOrEqual(bound.routerTerm)
      }),
    )
  })

  it('names the fewest samples that bring the router term below 1', () => {
    fc.assert(
      fc.property(settings, setting => {
        const { samplesForRouterTermBelowOne: fewest } = smoeBound(setting)
        expect(smoeBound({ ...setting, samples: fewest }).routerTerm).toBeLessThan(1)
        if (fewest === 1) return
        expect(smoeBound({ ...setting, samples: fewest - 1 }).routerTerm).toBeGreaterThanOrEqual(1)
      }),
    )
  })

  it('counts masks of thousands of experts as it counts those of few', () => {
    // ln C(4000, 1500) as a sum of logarithms; d_N = 1, m = 1.
    let masks = 0
    for (let i = 1; i <= 1500; i++) masks += Math.log((2500 + i) / i)
    const bound = smoeBound({
      experts: 4000,
      active: 2500,
      samples: 1,
      routerDimension: 1,
      expertComplexity: 0,
    })
    expectAllClose(
      [bound.exactRouterTerm],
      [2 * Math.sqrt((2 * masks + Math.LN2 + Math.log(80)) / 2)],
      1e-12,
      0,
    )
  })

  it('ends for the largest and smallest numbers', () => {
    const largest = Number.MAX_SAFE_INTEGER
    const bound = smoeBound({
      experts: largest,
      active: (largest - 1) / 2,
      samples: largest,
      routerDimension: largest,
      delta: Number.MIN_VALUE,
      expertComplexity: Number.MAX_VALUE,
    })
    expect(bound.samplesForRouterTermBelowOne).toBeGreaterThan(largest)
    expect(bound.vacuous).toBe(true)
    expect(bound.exactRouterTerm).toBeLessThanOrEqual(bound.routerTerm)
  })

  it.each([
    [{ experts: 0 }, 'experts must be an integer of at least 1, got 0'],
    [{ experts: 2.5 }, 'experts must be an integer of at least 1, got 2.5'],
    [{ active: 9 }, 'active must be an integer in [1, 8], got 9 (experts 8)'],
    [{ active: 0 }, 'active must be an integer in [1, 8], got 0 (experts 8)'],
    [{ active: 1.5 }, 'active must be an integer in [1, 8], got 1.5 (experts 8)'],
    [{ samples: 0 }, 'samples must be an integer of at least 1, got 0'],
    [{ routerDimension: -1 }, 'routerDimension must be a number in [0, 2^53), got -1'],
    [{ routerDimension: 1e300 }, 'routerDimension must be a number in [0, 2^53), got 1e+300'],
    [{ delta: 0 }, 'delta must be a number in (0, 1), got 0'],
    [{ delta: 1 }, 'delta must be a number in (0, 1), got 1'],
    [{ delta: Number.NaN }, 'delta must be a number in (0, 1), got NaN'],
    [{ lipschitz: 0 }, 'lipschitz must be a number above 0, got 0'],
    [{ lipschitz: Infinity }, 'lipschitz must be a number above 0, got Infinity'],
    [{ expertComplexity: -0.5 }, 'expertComplexity must be a number of at least 0, got -0.5'],
  ])('refuses %o', (change, message) => {
    expect(() => smoeBound({ ...clusters, ...change })).toThrow(new RangeError(`smoeBound: ${message}`))
  })

  it('suggests the name of a misspelt option', () => {
    const misspelt = { ...clusters, detla: 0.1 }
    expect(() => smoeBound(misspelt)).toThrow('smoeBound: options must be among those that it has, got detla')
  })
})

describe('linearRouterDimension', () => {
  it.each(goldens.linearRouterDimension)('is $output for $input', ({ input, output }) => {
    expect(linearRouterDimension(input)).toBe(output)
  })

  it('has no bias unless told', () => {
    expect(linearRouterDimension({ inputs: 7, experts: 3 })).toBe(21)
  })

  it.each([
    [{ inputs: 0, experts: 2 }, 'inputs must be an integer of at least 1, got 0'],
    [{ inputs: 3, experts: -2 }, 'experts must be an integer of at least 1, got -2'],
    [{ inputs: 3, experts: 2, bias: 1 as unknown as boolean }, 'bias must be true or false, got 1'],
  ])('refuses %o', (router, message) => {
    expect(() => linearRouterDimension(router)).toThrow(new RangeError(`linearRouterDimension: ${message}`))
  })
})
