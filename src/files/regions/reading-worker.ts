/** A worker thread that opens image files and reads them in parts, and hands pixels over without copying. */
import { parentPort } from 'node:worker_threads'
import type { RegionSource } from '../../data/regions/region-source.js'
import { answerOrders } from '../asked-thread.js'
import { openRegions } from './open-regions.js'
import type { ReadingAnswer, ReadingOrder } from './reading-thread.js'

/** Opened images by their numbers. */
const images = new Map<number, RegionSource>()
let opened = 0

answerOrders<ReadingOrder, ReadingAnswer>(parentPort, async order => {
  if ('path' in order) {
    const source = await openRegions(order.path, order.decoding)
    const image = opened++
    images.set(image, source)
    const { height, width, channels } = source
    return [{ image, size: { height, width, channels } }, []]
  }
  const source = images.get(order.image) as RegionSource
  if ('ends' in order) {
    if (order.ends === 'image') images.delete(order.image)
    await source.close?.()
    return [{}, []]
  }
  const read = await ('scale' in order ? source.view(order.scale) : source.regions(order.boxes))
  // What is a part of a larger buffer cannot be handed over alone.
  const pixels = read.byteLength === read.buffer.byteLength ? read : read.slice()
  return [{ pixels }, [pixels.buffer as ArrayBuffer]]
})
