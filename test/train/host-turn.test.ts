import { expect, it } from 'vitest'
import { hostTurns } from '../../src/train/host-turn.js'

it('lets timers of the host run between pieces of a computation that never waits', async () => {
  let ran = false
  setTimeout(() => {
    ran = true
  }, 0)
  const turn = hostTurns()
  // Without a turn of the host this loop would go on until its bound.
  const end = performance.now() + 120_000
  while (!ran && performance.now() < end) await turn()
  expect(ran).toBe(true)
})
