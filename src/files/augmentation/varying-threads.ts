import type { Augmentation } from '../../data/augmentation/augmentation.js'
import type { BatchPlace } from '../../data/augmentation/augmented.js'
import type { ImageBatch } from '../../data/image-set.js'
import type { ImageShape } from '../../shapes.js'
import { AskedThread } from '../asked-thread.js'
import { startWorker } from '../worker.js'

/** What a thread that varies images is given when it starts. */
export interface VaryingTask {
  readonly shape: ImageShape
  readonly augmentation: Augmentation
}

/** What such a thread is asked for: to vary a batch. */
export interface VaryingOrder {
  readonly batch: ImageBatch
  readonly place: BatchPlace
}

/** What it answers: the batch of the order, varied. */
export type VaryingAnswer = Pick<VaryingOrder, 'batch'>

type VaryingThread = AskedThread<VaryingOrder, VaryingAnswer>

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
  async vary(batch: ImageBatch, place: BatchPlace): Promise<ImageBatch> {
    const position = this.turn++ % this.threads.length
    let thread = this.threads[position]
    if (!thread || thread.hasEnded) {
      const worker = startWorker(new URL('./varying-worker.js', import.meta.url), this.task)
      thread = new AskedThread(worker, { where: 'augmentedAhead', idleMs })
      this.threads[position] = thread
    }
    const answer = await thread.ask({ batch, place })
    return answer.batch
  }
}
