/** A worker thread that varies batches of training images, and hands them over without copying. */
import { parentPort, workerData } from 'node:worker_threads'
import { batchVariation } from '../../data/augmentation/augmented.js'
import { answerOrders } from '../asked-thread.js'
import type { VaryingAnswer, VaryingOrder, VaryingTask } from './varying-threads.js'

const { shape, augmentation } = workerData as VaryingTask
const vary = batchVariation(shape, augmentation)

answerOrders<VaryingOrder, VaryingAnswer>(parentPort, ({ batch, place }) => {
  const varied = vary ? vary(batch, place) : batch
  return [{ batch: varied }, [varied.images.buffer as ArrayBuffer]]
})
