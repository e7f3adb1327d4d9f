import { describe, expect, it } from 'vitest'
import { alternate } from '../../bench/alternate.js'

describe('alternate', () => {
  it('takes contestants in turn and times the rounds after the warm-up', async () => {
    let clock = 0
    const calls: string[] = []
    const contestant = (name: string, milliseconds: number) => ({
      name,
      run: async () => {
        calls.push(name)
        clock += milliseconds * calls.length
      },
    })
    const seconds = await alternate(
      [contestant('a', 1000), contestant('b', 2000)],
      { warmUp: 1, rounds: 2 },
      () => clock,
    )
    expect(calls.join(' ')).toBe('a b a b a b')
    // Calls 3 and 5 are a's timed ones, 4 and 6 b's.
    expect(seconds).toEqual({ a: [3, 5], b: [8, 12] })
  })
})
