import { expect, test } from 'vitest'
import { orderedWork } from '../../../src/files/prepared/ordered-work.js'

test('results come in order, however long each takes, and no more than so many are in flight', async () => {
  let working = 0
  let most = 0
  const results: number[] = []
  const work = async (i: number) => {
    most = Math.max(most, ++working)
    await new Promise(resolve => setTimeout(resolve, (i * 7) % 5))
    working--
    return i * i
  }
  for await (const result of orderedWork(20, 4, work)) results.push(result)
  expect(results).toEqual(Array.from({ length: 20 }, (_, i) => i * i))
  expect(most).toBe(4)
})

test('a failure comes in its turn', async () => {
  const results: number[] = []
  const failing = async () => {
    const work = async (i: number) => {
      if (i >= 3) throw new Error(`work ${i} failed`)
      return i
    }
    for await (const result of orderedWork(10, 8, work)) results.push(result)
  }
  await expect(failing()).rejects.toThrow('work 3 failed')
  expect(results).toEqual([0, 1, 2])
})
