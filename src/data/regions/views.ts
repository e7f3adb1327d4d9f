import { viewSize } from '../../shapes.js'
import { eachInParallel } from '../each-in-parallel.js'
import type { ImageStream } from '../image-stream.js'
import { checkScale } from './block-means.js'
import type { RegionSource } from './region-source.js'
import type { RegionBatch, RegionStream } from './region-stream.js'

/** Which views are decoded before they are asked for. */
export interface ReadAhead {
  /** The scale of the views, as `view` will be asked for it. */
  readonly scale: number
  /** Batches that are being decoded while one is used; 1 by default. */
  readonly batches?: number
}

/**
 * A stream that decodes the views of the next batches while one is used: as many images in memory at a time as these
 * batches have, as views. Their order stays the same.
 *
 * A view that cannot be decoded is an error when it is asked for; a consumer that stops early leaves what is under way
 * to end by itself.
 *
 * @throws RangeError when `scale` or `batches` is not a positive integer
 */
export function viewsAhead(stream: RegionStream, { scale, batches: ahead = 1 }: ReadAhead): RegionStream {
  checkScale(scale, 'viewsAhead')
  if (!Number.isInteger(ahead) || ahead < 1) {
    throw new RangeError(`viewsAhead: batches must be a positive integer, got ${ahead}`)
  }
  return {
    ...stream,
    async *batches(pass) {
      const batches = stream.batches(pass)[Symbol.asyncIterator]()
      const next = async (): Promise<IteratorResult<RegionBatch>> => {
        const result = await batches.next()
        return result.done ? result : { done: false, value: withViews(result.value, scale) }
      }
      const waiting: Promise<IteratorResult<RegionBatch>>[] = []
      try {
        for (;;) {
          while (waiting.length <= ahead) {
            const batch = next()
            // Awaited when its turn comes; a consumer may stop before.
            batch.catch(() => undefined)
            waiting.push(batch)
          }
          const result = await (waiting.shift() as Promise<IteratorResult<RegionBatch>>)
          if (result.done) return
          yield result.value
        }
      } finally {
        await batches.return?.()
      }
    },
  }
}

/** Views that are decoded at a time. */
const inFlight = 8

/** The same batch, the views of which are being decoded, a few at a time. */
function withViews(batch: RegionBatch, scale: number): RegionBatch {
  const views: Promise<Uint8Array>[] = []
  for (const [i, source] of batch.sources.entries()) {
    const earlier = views[i - inFlight] ?? Promise.resolve()
    const view = earlier.catch(() => undefined).then(() => source.view(scale))
    // An error is that of the view when it is asked for; without a handler it would end the process.
    view.catch(() => undefined)
    views.push(view)
  }
  const sources = batch.sources.map((source, i): RegionSource => {
    const decoded = views[i] as Promise<Uint8Array>
    return {
      height: source.height,
      width: source.width,
      channels: source.channels,
      view: asked => (asked === scale ? decoded : source.view(asked)),
      regions: boxes => source.regions(boxes),
      close: async () => source.close?.(),
    }
  })
  return { ...batch, sources }
}

/**
 * The views of images that are read in parts, as ordinary images: what a network on shrunken images trains on; at
 * scale 1 whole images.
 *
 * @param scale of the views
 * @throws RangeError when it is not a positive integer
 */
export function viewStream(stream: RegionStream, scale: number): ImageStream {
  checkScale(scale, 'viewStream')
  const { count, classNames, groupNames } = stream
  const [height, width] = viewSize([stream.shape[0], stream.shape[1]], scale)
  const channels = stream.shape[2]
  const imageBytes = height * width * channels
  return {
    count,
    shape: [height, width, channels],
    classNames,
    ...(groupNames && { groupNames }),
    async *batches(pass) {
      for await (const { sources, labels, groups, count: numImages } of stream.batches(pass)) {
        const images = new Uint8Array(numImages * imageBytes)
        await eachInParallel(numImages, async position => {
          const source = sources[position] as RegionSource
          images.set(await source.view(scale), position * imageBytes)
          await source.close?.()
        })
        yield { images, labels, ...(groups && { groups }), count: numImages }
      }
    },
  }
}
