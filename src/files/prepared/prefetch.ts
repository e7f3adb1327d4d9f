import { on } from 'node:events'
import type { Worker } from 'node:worker_threads'
import type { Augmentation } from '../../data/augmentation/augmentation.js'
import type { BalancedBy } from '../../data/balanced.js'
import { checkedPass } from '../../data/image-records.js'
import type { ImageBatch } from '../../data/image-set.js'
import type { ImageStream, StreamPass } from '../../data/image-stream.js'
import type { ValidationChoice } from '../../data/stratified.js'
import { startWorker } from '../worker.js'

/** How training images are read from a prepared folder. */
export interface PreparedReading {
  /** Images that are shuffled among each other where not all are in memory; 4096 by default. */
  readonly shuffleWindow?: number
  /** Gives classes or groups equal shares of an epoch. */
  readonly balance?: BalancedBy
  /** Which of the training images are validation images. */
  readonly validation?: ValidationChoice
  /** Varies the images. */
  readonly augment?: Augmentation
}

/** What a worker thread is given when it starts. */
export interface PrefetchTask {
  readonly directory: string
  readonly reading: PreparedReading & { readonly samples?: number }
  /** Batches that it may be ahead. */
  readonly ahead: number
}

/** Messages to a worker thread: read a pass, or one of its batches was taken. */
export type PrefetchOrder = { readonly kind: 'pass'; readonly pass: StreamPass } | { readonly kind: 'taken' }

/** Messages from a worker thread. */
export type PrefetchMessage =
  | { readonly kind: 'batch'; readonly batch: ImageBatch }
  | { readonly kind: 'end' }
  | { readonly kind: 'error'; readonly name: string; readonly message: string }

/** A thread without a pass ends after so many milliseconds. */
const idleMs = 300_000

/**
 * The stream of a prepared folder, each pass of which a worker thread reads (and varies) ahead of its use. At most `ahead`
 * batches wait.
 *
 * At the end of a shuffled pass the thread begins the next epoch, and waits five minutes for being asked for it or for
 * another pass; it does not keep the process alive. It ends at once when the consumer stops early, and on an error,
 * which is thrown here with its class and message.
 *
 * @param stream the stream without prefetching, whose count, shape and names are taken over
 * @param ahead batches, at least 1
 */
export function prefetched(
  stream: ImageStream,
  directory: string,
  reading: PrefetchTask['reading'],
  ahead: number,
): ImageStream {
  const threads = new IdleThread({ directory, reading, ahead })
  return { ...stream, batches: pass => passAhead(threads, checkedPass(pass, stream.count)) }
}

/** Keeps one worker thread between passes. */
class IdleThread {
  private readonly task: PrefetchTask
  private idle: Worker | undefined
  private timer: NodeJS.Timeout | undefined

  constructor(task: PrefetchTask) {
    this.task = task
  }

  take(): Worker {
    const worker = this.idle ?? startWorker(new URL('./prefetch-worker.js', import.meta.url), this.task)
    clearTimeout(this.timer)
    this.idle = undefined
    worker.ref()
    return worker
  }

  /** Takes back a thread that has read its pass to the end. */
  async giveBack(worker: Worker): Promise<void> {
    if (this.idle) {
      await worker.terminate()
      return
    }
    worker.unref()
    this.idle = worker
    this.timer = setTimeout(() => {
      this.idle = undefined
      void worker.terminate()
    }, idleMs).unref()
  }
}

async function* passAhead(
  threads: IdleThread,
  pass: StreamPass,
): AsyncGenerator<ImageBatch, void, undefined> {
  const worker = threads.take()
  const order = (request: PrefetchOrder): void => worker.postMessage(request)
  let isComplete = false
  try {
    const messages = on(worker, 'message', { close: ['exit'] })
    order({ kind: 'pass', pass })
    for await (const [message] of messages) {
      const answer = message as PrefetchMessage
      if (answer.kind === 'error') throw errorOf(answer)
      if (answer.kind === 'end') {
        isComplete = true
        return
      }
      order({ kind: 'taken' })
      yield answer.batch
    }
    throw new Error('prefetched: the worker thread must read the pass to its end, got an early end of it')
  } finally {
    if (isComplete) await threads.giveBack(worker)
    else await worker.terminate()
  }
}

/** The error of the worker thread, as an error of this one. */
function errorOf({ name, message }: { readonly name: string; readonly message: string }): Error {
  if (name === 'RangeError') return new RangeError(message)
  return name === 'TypeError' ? new TypeError(message) : new Error(message)
}
