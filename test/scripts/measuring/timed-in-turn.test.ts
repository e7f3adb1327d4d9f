import { describe, expect, test } from 'vitest'
import { timedInTurn } from '../../../scripts/run/measuring/timed-in-turn.js'

/** Calls that each take so many seconds on a clock of their own, and who was called. */
function onClock(...durations: readonly number[]) {
  let time = 0
  const called: number[] = []
  const calls = durations.map((seconds, i) => async () => {
    called.push(i)
    time += 1000 * seconds
  })
  return { calls, called, now: () => time }
}

describe('timedInTurn', () => {
  test('times all calls in turn in every round, after those that warm up', async () => {
    const { calls, called, now } = onClock(2, 3)
    expect(await timedInTurn(calls, { warmUp: 1, runs: 3 }, { now })).toEqual([
      [2, 2, 2],
      [3, 3, 3],
    ])
    expect(called).toEqual([0, 1, 0, 1, 0, 1, 0, 1])
  })

  test('begins no round when the time is over, but the least', async () => {
    const { calls, now } = onClock(1, 1)
    // A round takes 2 s: after three of them 6 s are over.
    expect(await timedInTurn(calls, { warmUp: 0, runs: 9, seconds: 5 }, { now })).toEqual([
      [1, 1, 1],
      [1, 1, 1],
    ])
    const slow = onClock(60)
    expect(
      await timedInTurn(slow.calls, { warmUp: 5, runs: 9, leastRuns: 2, seconds: 1 }, { now: slow.now }),
    ).toEqual([[60, 60]])
    expect(slow.called).toHaveLength(3)
  })

  test('is ended between two calls', async () => {
    const stop = new AbortController()
    const called: string[] = []
    const calls = [
      async () => {
        called.push('first')
        stop.abort(new Error('enough'))
      },
      async () => called.push('second'),
    ]
    const timing = timedInTurn(calls, { warmUp: 0, runs: 2 }, { signal: stop.signal })
    await expect(timing).rejects.toThrow('enough')
    expect(called).toEqual(['first'])
  })
})
