import { expect } from 'vitest'

/** Numbers of any source: plain, typed or nested arrays. */
export type Numbers = ArrayLike<number> | readonly unknown[]

/**
 * Asserts |actual - expected| <= atol + rtol |expected| for every number, and equally many of them.
 */
export function expectAllClose(actual: Numbers, expected: Numbers, rtol = 1e-4, atol = 1e-5): void {
  const left = flat(actual)
  const right = flat(expected)
  expect(left.length).toBe(right.length)
  let worst = { excess: 0, at: -1 }
  for (let i = 0; i < left.length; i++) {
    const a = left[i] as number
    const b = right[i] as number
    const excess = Math.abs(a - b) - (atol + rtol * Math.abs(b))
    // A NaN on either side compares false with everything, so ask for "not within".
    if (!(excess <= worst.excess)) worst = { excess, at: i }
  }
  if (worst.at >= 0) {
    expect.fail(
      `number ${worst.at} of ${left.length} differs: got ${left[worst.at]}, expected ${right[worst.at]} ` +
        `(rtol ${rtol}, atol ${atol})`,
    )
  }
}

function flat(values: Numbers): number[] {
  return (Array.from(values as ArrayLike<unknown>) as unknown[]).flat(Number.POSITIVE_INFINITY) as number[]
}
