import { setTimeout } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { eachInParallel } from '../../src/data/each-in-parallel.js'

it('does everything once, at most eight at a time', async () => {
  const done: number[] = []
  let [working, most] = [0, 0]
  await eachInParallel(50, async position => {
    most = Math.max(most, ++working)
    await setTimeout(position % 3)
    working--
    done.push(position)
  })
  expect(done.sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, position) => position))
  expect(most).toBe(8)
  await eachInParallel(0, () => Promise.reject(new Error('nothing is to be done')))
})

it('begins nothing more after a failure', async () => {
  let begun = 0
  const running = eachInParallel(1000, async position => {
    begun++
    await setTimeout(1)
    if (position === 3) throw new Error('image 3')
  })
  await expect(running).rejects.toThrow(new Error('image 3'))
  const afterwards = begun
  await setTimeout(20)
  expect(begun).toBe(afterwards)
  expect(begun).toBeLessThan(30)
})
