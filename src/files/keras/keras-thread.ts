import type { KerasContent, KerasReading } from '../../export/weights/keras-file.js'
import { startWorker } from '../worker.js'
import type { KerasTask } from './keras-worker.js'

/** How long a file may be read: 10 s, and 1 s more for each 5 MB of it. */
function deadlineMs(bytes: number): number {
  return 10_000 + bytes / 5_000
}

type Answer = 'begun' | { readonly content: KerasContent } | { readonly problem: string }

/**
 * Reads a Keras file in a thread of its own, which is ended where a damaged file keeps it busy.
 *
 * @param limitMs the longest time from the thread's beginning, by default by the length of the file
 * @throws as `readKerasFile`; Error naming the file and the time where it was not read within it
 */
export async function readKerasInThread(
  bytes: Uint8Array,
  source: string,
  config?: unknown,
  limitMs: number = deadlineMs(bytes.length),
): Promise<KerasContent> {
  const task: KerasTask = { bytes, source, config }
  const worker = startWorker(new URL('./keras-worker.js', import.meta.url), task)
  let timer: NodeJS.Timeout | undefined
  try {
    return await new Promise<KerasContent>((resolve, reject) => {
      const giveUp = () =>
        reject(
          new Error(
            `${source}: file must be read within ${(limitMs / 1000).toFixed(0)} s, got no end (it is likely damaged)`,
          ),
        )
      worker.on('message', (answer: Answer) => {
        if (answer === 'begun') timer = setTimeout(giveUp, limitMs)
        else if ('content' in answer) resolve(answer.content)
        else reject(new Error(answer.problem))
      })
      worker.on('error', cause =>
        reject(new Error(`${source}: file must be readable, got: ${cause.message}`, { cause })),
      )
      worker.on('exit', code =>
        reject(new Error(`${source}: file must be readable, got: its thread ended with ${code}`)),
      )
    })
  } finally {
    clearTimeout(timer)
    await worker.terminate()
  }
}

/** {@link readKerasInThread} with its own limit of time. */
export const kerasReading: KerasReading = (bytes, source, config) => readKerasInThread(bytes, source, config)
