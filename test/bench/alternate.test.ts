import { beforeEach, describe, expect, it } from 'vitest'
import { alternate } from '../../bench/alternate.js'

describe('alternate', () => {
  let clock = 0
  let calls: string[] = []
  beforeEach(() => {
    clock = 0
    calls = []
  })
  const contestant = (name: string, milliseconds: number) => ({
    name,
    run: async () => {
      calls.push(name)
      clock += milliseconds * calls.length
    },
  })

  it('takes contestants in turn and times the rounds after the warm-up', async () => {
    const seconds = await alternate(
      [contestant('a', 1000), contestant('b', 2000)],
      { warmUp: 1, rounds: 2 },
      () => clock,
    )
    expect(calls.join(' ')).toBe('a b b a a b')
    // Calls 4 and 5 are a's timed ones, 3 and 6 b's.
    expect(seconds).toEqual({ a: [4, 5], b: [6, 12] })
  })

  it('runs each before it is timed, where asked to', async () => {
    const contestants = ['a', 'b', 'c'].map(name => contestant(name, 1000))
    const seconds = await alternate(contestants, { warmUp: 0, rounds: 3, lead: 1 }, () => clock)
    expect(calls.join('')).toBe('aabbccbbccaaccaabb')
    expect(seconds).toEqual({ a: [2, 12, 16], b: [4, 8, 18], c: [6, 10, 14] })
  })
})
