import { parentPort, workerData } from 'node:worker_threads'
import { readKerasFile } from '../../export/weights/keras-file.js'

/** What the thread is given. */
export interface KerasTask {
  readonly bytes: Uint8Array
  readonly source: string
  readonly config: unknown
}

/*
 * Thread of `keras-thread`: says when it begins, reads one file, and answers with what it holds or with the message of
 * what is wrong with it.
 */
const { bytes, source, config } = workerData as KerasTask
parentPort?.postMessage('begun')
try {
  parentPort?.postMessage({ content: await readKerasFile(bytes, source, config) })
} catch (error) {
  parentPort?.postMessage({ problem: (error as Error).message })
}
