import * as fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { inOrderOf, workOff } from '../../../scripts/run/cluster/shared-work.js'
import { heartbeatMs, silenceMs } from '../../../src/files/lock.js'

describe('inOrderOf', () => {
  test('has the runs of the task first, then those of the next tasks', () => {
    expect(inOrderOf(['a', 'b', 'c', 'd', 'e', 'f', 'g'], { task: 1, tasks: 3 })).toEqual([
      ...['b', 'e'],
      ...['c', 'f'],
      ...['a', 'd', 'g'],
    ])
  })

  test('has every run once, and lets tasks begin with different ones', () => {
    const grid = fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 20 }))
    fc.assert(
      fc.property(grid, ([count, tasks]) => {
        const items = Array.from({ length: count }, (_, i) => i)
        const orders = Array.from({ length: tasks }, (_, task) => inOrderOf(items, { task, tasks }))
        for (const order of orders) expect([...order].sort((a, b) => a - b)).toEqual(items)
        const firsts = orders.slice(0, count).map(([first]) => first)
        expect(new Set(firsts).size).toBe(Math.min(count, tasks))
      }),
    )
  })
})

describe('workOff', () => {
  /** Runs that others have for some passes, and what each pass tried. */
  function shared(busyFor: Record<string, number>) {
    const tried: string[][] = []
    const left = { ...busyFor }
    const pass = async (items: readonly string[]) => {
      tried.push([...items])
      return new Map(
        items
          .filter(item => {
            const times = left[item] ?? 0
            left[item] = times - 1
            return times > 0
          })
          .map(item => [item, `${item} is busy`]),
      )
    }
    return { pass, tried }
  }
  const never = new AbortController().signal

  test('takes over what has no sign of life, and leaves the rest to those that live', async () => {
    const { pass, tried } = shared({ dead: 3, alive: 9 })
    let beats = 0
    const waiting: string[] = []
    const left = await workOff(['mine', 'dead', 'alive'], {
      pass,
      // The one that lives gives its next sign after two looks.
      signOfLife: async item => (item === 'dead' ? 5 : beats++ < 2 ? 5 : 6),
      signal: never,
      betweenMs: 1,
      onWaiting: busy => waiting.push(...busy.keys()),
    })
    expect([...left]).toEqual([['alive', 'alive is busy']])
    expect(waiting).toEqual(['dead', 'alive'])
    expect(tried).toEqual([['mine', 'dead', 'alive'], ['dead', 'alive'], ['dead', 'alive'], ['dead']])
  })

  test('counts the end of a process between two looks as a sign, and tries nothing that is done', async () => {
    const { pass, tried } = shared({ a: 1 })
    expect(
      (await workOff(['a'], { pass, signOfLife: async () => undefined, signal: never, betweenMs: 1 })).size,
    ).toBe(0)
    expect(tried).toEqual([['a'], ['a']])
  })

  test('waits no longer than a process of another machine may be silent', async () => {
    const { pass } = shared({ stopped: 99 })
    const clock = vi.spyOn(performance, 'now')
    clock
      .mockReturnValueOnce(0)
      .mockReturnValueOnce(silenceMs)
      .mockReturnValue(silenceMs + 3 * heartbeatMs)
    const left = await workOff(['stopped'], { pass, signOfLife: async () => 5, signal: never, betweenMs: 1 })
    clock.mockRestore()
    expect([...left.keys()]).toEqual(['stopped'])
  })

  test('stops when told to', async () => {
    const stop = new AbortController()
    const { pass } = shared({ a: 9 })
    const working = workOff(['a'], {
      pass,
      signOfLife: async () => 5,
      signal: stop.signal,
      betweenMs: 600_000,
      onWaiting: () => stop.abort(),
    })
    expect([...(await working)]).toEqual([['a', 'a is busy']])
  })
})
