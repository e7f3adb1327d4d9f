import type { Worker } from 'node:worker_threads'
import type { Augmentation } from '../../data/augmentation/augmentation.js'
import type { BatchPlace } from '../../data/augmentation/augmented.js'
import type { ImageBatch } from '../../data/image-set.js'
import type { ImageShape } from '../../shapes.js'
import { startWorker } from '../worker.js'

/** What a thread that varies images is given when it starts. */
export interface VaryingTask {
  readonly shape: ImageShape
  readonly augmentation: Augmentation
}

/** A message to such a thread: a batch to vary. */
export interface VaryingOrder {
  readonly id: number
  readonly batch: ImageBatch
  readonly place: BatchPlace
}

/** A message from such a thread: the batch of an order, or why there is none. */
export type VaryingAnswer = { readonly id: number } & (
  | { readonly batch: ImageBatch }
  | { readonly name: string; readonly message: string }
)

interface Asker {
  resolve(batch: ImageBatch): void
  reject(error: Error): void
}

/** Threads without work end after so many milliseconds. */
const idleMs = 300_000

/** Worker threads that vary batches, in turn; they start when they are needed. */
export class VaryingThreads {
  private readonly task: VaryingTask
  private readonly threads: (VaryingThread | undefined)[]
  private turn = 0

  constructor(task: VaryingTask, count: number) {
    this.task = task
    this.threads = new Array<undefined>(count).fill(undefined)
  }

  /**
   * Varies a batch, which stays as it is.
   *
   * @throws what the variation throws; Error when the thread ends
   */
  vary(batch: ImageBatch, place: BatchPlace): Promise<ImageBatch> {
    const position = this.turn++ % this.threads.length
    let thread = this.threads[position]
    if (!thread || thread.hasEnded) {
      thread = new VaryingThread(this.task)
      this.threads[position] = thread
    }
    return thread.vary(batch, place)
  }
}

class VaryingThread {
  hasEnded = false
  private readonly worker: Worker
  private readonly askers = new Map<number, Asker>()
  private orders = 0
  private timer: NodeJS.Timeout | undefined

  constructor(task: VaryingTask) {
    this.worker = startWorker(new URL('./varying-worker.js', import.meta.url), task)
    this.worker.on('message', (answer: VaryingAnswer) => this.take(answer))
    this.worker.on('error', error => this.end(error))
    this.worker.on('exit', () => this.end(new Error('augmentedAhead: thread must answer, got its end')))
  }

  vary(batch: ImageBatch, place: BatchPlace): Promise<ImageBatch> {
    clearTimeout(this.timer)
    this.worker.ref()
    const id = this.orders++
    return new Promise((resolve, reject) => {
      this.askers.set(id, { resolve, reject })
      const order: VaryingOrder = { id, batch, place }
      this.worker.postMessage(order)
    })
  }

  private take(answer: VaryingAnswer): void {
    const asker = this.askers.get(answer.id)
    this.askers.delete(answer.id)
    if ('batch' in answer) asker?.resolve(answer.batch)
    else
      asker?.reject(answer.name === 'RangeError' ? new RangeError(answer.message) : new Error(answer.message))
    if (this.askers.size > 0) return
    this.worker.unref()
    this.timer = setTimeout(() => {
      this.hasEnded = true
      void this.worker.terminate()
    }, idleMs).unref()
  }

  private end(error: Error): void {
    this.hasEnded = true
    clearTimeout(this.timer)
    for (const { reject } of this.askers.values()) reject(error)
    this.askers.clear()
  }
}
