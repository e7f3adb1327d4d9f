/** The worker thread of a prepared stream: reads batches ahead of their use, and hands them over without copying. */
import { parentPort, workerData } from 'node:worker_threads'
import type { ImageBatch } from '../../data/image-set.js'
import type { ImageStream, StreamPass } from '../../data/image-stream.js'
import type { PrefetchMessage, PrefetchOrder, PrefetchTask } from './prefetch.js'
import { preparedStream } from './prepared-set.js'

const { directory, reading, ahead } = workerData as PrefetchTask
let room = ahead
let onRoom: (() => void) | undefined

parentPort?.on('message', (order: PrefetchOrder) => {
  if (order.kind === 'pass') void readPass(order.pass)
  else {
    room++
    onRoom?.()
  }
})

const opened = preparedStream(directory, reading)
// readPass awaits it and reports the error; without a handler a failure before that would end the thread.
opened.catch(() => undefined)

/** A pass that has begun to read its first batch. */
interface BegunPass {
  readonly key: string
  readonly first: Promise<IteratorResult<ImageBatch>>
  readonly batches: AsyncIterator<ImageBatch>
}

/** The pass that will most likely be asked for next: the next epoch. */
let expected: BegunPass | undefined

async function readPass(pass: StreamPass): Promise<void> {
  try {
    const stream = await opened
    const begun = expected
    expected = undefined
    if (begun && begun.key !== keyOf(pass)) await begun.batches.return?.()
    const { first, batches } = begun?.key === keyOf(pass) ? begun : begin(stream, pass)
    for (let next = await first; !next.done; next = await batches.next()) {
      if (room === 0) {
        await new Promise<void>(resolve => {
          onRoom = resolve
        })
      }
      room--
      post({ kind: 'batch', batch: next.value }, buffersOf(next.value))
    }
    const { start: _, shuffle, ...rest } = pass
    if (shuffle) expected = begin(stream, { ...rest, shuffle: { ...shuffle, epoch: shuffle.epoch + 1 } })
    post({ kind: 'end' })
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error))
    post({ kind: 'error', name, message })
  }
}

function begin(stream: ImageStream, pass: StreamPass): BegunPass {
  const batches = stream.batches(pass)[Symbol.asyncIterator]()
  const first = batches.next()
  // readPass awaits it and reports the error; without a handler a failure before that would end the thread.
  first.catch(() => undefined)
  return { key: keyOf(pass), first, batches }
}

/** A key that is equal for equal passes. */
function keyOf({ batchSize, shuffle, start = 0, end, shard }: StreamPass): string {
  const { index, count, withNext, leastOne } = shard ?? {}
  return [batchSize, shuffle?.seed, shuffle?.epoch, start, end, index, count, withNext, leastOne].join()
}

function post(message: PrefetchMessage, buffers: readonly ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, buffers)
}

function buffersOf({ images, labels, groups }: ImageBatch): ArrayBuffer[] {
  return [images, labels, ...(groups ? [groups] : [])].map(({ buffer }) => buffer as ArrayBuffer)
}
