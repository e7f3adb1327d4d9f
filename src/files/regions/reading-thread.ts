import { join } from 'node:path'
import type { OpenRegions, RegionSource } from '../../data/regions/region-source.js'
import { AskedThread } from '../asked-thread.js'
import { isAddress } from '../storage/address.js'
import { startWorker } from '../worker.js'
import type { RegionDecoding } from './image-file.js'

/**
 * What the thread is asked for: to open an image, to read a view or regions of it, to let go of its pixels, or to forget it. `image` is
 * the number that it gave the image when it was opened.
 */
export type ReadingOrder =
  | { readonly path: string; readonly decoding: RegionDecoding }
  | { readonly image: number; readonly scale: number }
  | { readonly image: number; readonly boxes: Int32Array }
  | { readonly image: number; readonly ends: 'pixels' | 'image' }

/** What it answers: the number and the size of an image, or pixels; nothing where something ends. */
export interface ReadingAnswer {
  readonly image?: number
  readonly size?: Pick<RegionSource, 'height' | 'width' | 'channels'>
  readonly pixels?: Uint8Array
}

type ReadingThread = AskedThread<ReadingOrder, ReadingAnswer>

/** The thread of this process, once something was read. */
let running: ReadingThread | undefined

function readingThread(): ReadingThread {
  if (!running || running.hasEnded) {
    const worker = startWorker(new URL('./reading-worker.js', import.meta.url), undefined)
    running = new AskedThread(worker, { where: 'regionsInThread' })
  }
  return running
}

/** An image in the thread, as long as something holds it here. */
interface ThreadImage {
  readonly thread: ReadingThread
  readonly image: number
}

/** Has the thread forget images that nothing holds any more. */
const abandoned = new FinalizationRegistry<ThreadImage>(({ thread, image }) => {
  if (!thread.hasEnded) thread.ask({ image, ends: 'image' }).catch(() => undefined)
})

/**
 * Opens image files as `regionsIn` does, but in a worker thread, which sums up views, cuts regions and follows the decoding while this
 * one computes; only views and regions come here. One thread serves the whole process: decoding is in those of sharp. What `regionsIn`
 * says of memory holds for it.
 *
 * @param directory the folder of the dataset
 * @throws RangeError for an address: image files are decoded from the disk
 */
export function regionsInThread(directory: string, decoding: RegionDecoding = {}): OpenRegions {
  if (isAddress(directory)) {
    throw new RangeError(
      `${directory}: image files that are read in parts must be in a folder on this machine, got an address ` +
        '(pmoe data prepare --unscaled makes a folder of them that is read from an address)',
    )
  }
  return async path => {
    const thread = readingThread()
    const { image, size } = await thread.ask({ path: join(directory, path), decoding })
    return threadSource(thread, image as number, size as RegionSource)
  }
}

function threadSource(
  thread: ReadingThread,
  image: number,
  { height, width, channels }: Pick<RegionSource, 'height' | 'width' | 'channels'>,
): RegionSource {
  // All methods hold it, whatever they are taken out of.
  const held: ThreadImage = { thread, image }
  abandoned.register(held, { thread, image })
  const pixelsOf = async (order: ReadingOrder) => (await held.thread.ask(order)).pixels as Uint8Array
  return {
    height,
    width,
    channels,
    view: scale => pixelsOf({ image: held.image, scale }),
    regions: boxes => pixelsOf({ image: held.image, boxes }),
    close: async () => {
      if (!held.thread.hasEnded) await held.thread.ask({ image: held.image, ends: 'pixels' })
    },
  }
}
