/** A worker thread that varies batches of training images, and hands them over without copying. */
import { parentPort, workerData } from 'node:worker_threads'
import { batchVariation } from '../../data/augmentation/augmented.js'
import type { VaryingAnswer, VaryingOrder, VaryingTask } from './varying-threads.js'

const { shape, augmentation } = workerData as VaryingTask
const vary = batchVariation(shape, augmentation)

parentPort?.on('message', ({ id, batch, place }: VaryingOrder) => {
  try {
    const varied = vary ? vary(batch, place) : batch
    post({ id, batch: varied }, [varied.images.buffer as ArrayBuffer])
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error))
    post({ id, name, message })
  }
})

function post(answer: VaryingAnswer, buffers: readonly ArrayBuffer[] = []): void {
  parentPort?.postMessage(answer, buffers)
}
