import { EventEmitter } from 'node:events'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  type VaryingAnswer,
  type VaryingOrder,
  VaryingThreads,
} from '../../../src/files/augmentation/varying-threads.js'

/** Threads that do what the test says. */
class PlayedWorker extends EventEmitter {
  readonly orders: (VaryingOrder & { readonly id: number })[] = []
  keepsAlive = true
  isTerminated = false

  postMessage(order: VaryingOrder & { readonly id: number }): void {
    this.orders.push(order)
  }

  answer(answer: VaryingAnswer & { readonly id: number }): void {
    this.emit('message', answer)
  }

  ref(): void {
    this.keepsAlive = true
  }

  unref(): void {
    this.keepsAlive = false
  }

  terminate(): void {
    this.isTerminated = true
    this.emit('exit', 1)
  }
}

const { workers } = vi.hoisted(() => ({ workers: [] as unknown[] }))
vi.mock('../../../src/files/worker.js', () => ({
  startWorker: () => {
    const worker = new PlayedWorker()
    workers.push(worker)
    return worker
  },
}))

function worker(position: number): PlayedWorker {
  return workers[position] as PlayedWorker
}

const batch = { images: Uint8Array.of(1), labels: Int32Array.of(0), count: 1 }
const place = { epoch: 0, first: 0 }
const task = { shape: [1, 1, 1], augmentation: { flip: true, seed: 1 } } as const

beforeEach(() => {
  workers.length = 0
  vi.useFakeTimers()
})
afterEach(() => vi.useRealTimers())

describe('VaryingThreads', () => {
  test('take turns, start when they are needed, and answer in any order', async () => {
    const threads = new VaryingThreads(task, 2)
    expect(workers.length).toBe(0)
    const batches = [1, 2, 3].map(first => threads.vary(batch, { epoch: 0, first }))
    expect(workers.length).toBe(2)
    expect(worker(0).orders.map(order => order.place.first)).toEqual([1, 3])
    worker(0).answer({ id: 1, batch: { ...batch, count: 3 } })
    worker(0).answer({ id: 0, batch: { ...batch, count: 1 } })
    worker(1).answer({ id: 0, batch: { ...batch, count: 2 } })
    expect((await Promise.all(batches)).map(({ count }) => count)).toEqual([1, 2, 3])
  })

  test('keep the process alive only while they work, end when they have none for long, and start anew', async () => {
    const threads = new VaryingThreads(task, 1)
    const first = threads.vary(batch, place)
    expect(worker(0).keepsAlive).toBe(true)
    worker(0).answer({ id: 0, batch })
    await first
    expect(worker(0).keepsAlive).toBe(false)
    vi.advanceTimersByTime(299_000)
    const second = threads.vary(batch, place)
    expect(worker(0).keepsAlive).toBe(true)
    vi.advanceTimersByTime(299_000)
    worker(0).answer({ id: 1, batch })
    await second
    expect(worker(0).isTerminated).toBe(false)
    vi.advanceTimersByTime(301_000)
    expect(worker(0).isTerminated).toBe(true)
    threads.vary(batch, place).catch(() => undefined)
    expect(workers.length).toBe(2)
  })

  test('fail what they were asked for when they end', async () => {
    const threads = new VaryingThreads(task, 1)
    const asked = [threads.vary(batch, place), threads.vary(batch, place)]
    worker(0).emit('exit', 1)
    for (const result of await Promise.allSettled(asked)) {
      expect(result).toMatchObject({ reason: new Error('augmentedAhead: thread must answer, got its end') })
    }
    const other = threads.vary(batch, place)
    worker(1).emit('error', new Error('out of memory'))
    await expect(other).rejects.toThrow('out of memory')
  })
})
