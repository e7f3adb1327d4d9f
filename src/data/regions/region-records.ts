import type { ImageShape, Size2D } from '../../shapes.js'
import { batchShares, placesOf } from '../batch-shares.js'
import { epochOrder } from '../batches.js'
import { checkPixels } from '../compose/composing.js'
import { boxAt } from '../compose/object-box.js'
import { checkedPass, type ImageRecords } from '../image-records.js'
import type { PixelSet } from '../image-set.js'
import type { StreamPass } from '../image-stream.js'
import { arraySource } from './array-source.js'
import { placedSource, type Surround } from './placed-source.js'
import { meets } from './region-boxes.js'
import type { RegionSource } from './region-source.js'
import type { RegionBatch, RegionObjects, RegionStream } from './region-stream.js'

/** Labelled images of which any can be opened at any time, to be read in parts. */
export interface RegionRecords {
  readonly count: number
  /** The size of the images; where they have several, the largest height and width. */
  readonly shape: ImageShape
  /** (count) class numbers. */
  readonly labels: Int32Array
  readonly classNames: readonly string[]
  /** (count) group numbers. */
  readonly groups?: Int32Array
  readonly groupNames?: readonly string[]
  /** Name of an image for people, as errors quote it. */
  name(position: number): string
  /**
   * Opens an image.
   *
   * @throws Error naming the image that cannot be opened
   */
  open(position: number): Promise<RegionSource>
  /** What is in an image, where that is known. */
  objects?(position: number): RegionObjects
}

/**
 * Some of the images of a set.
 *
 * @param positions of the images, in [0, count)
 * @param objects of the image at a position of the whole set; those of the set unless given
 */
export function someRegions(
  records: RegionRecords,
  positions: Int32Array,
  objects: RegionRecords['objects'] = records.objects,
): RegionRecords {
  const { labels, groups } = records
  const whole = (position: number): number => positions[position] as number
  return {
    ...records,
    count: positions.length,
    labels: positions.map(position => labels[position] as number),
    ...(groups && { groups: positions.map(position => groups[position] as number) }),
    name: position => records.name(whole(position)),
    open: position => records.open(whole(position)),
    ...(objects && { objects: position => objects(whole(position)) }),
  }
}

/** How images become a stream. */
export interface RegionStreamOptions {
  /** Height and width that all images get, by zeros to their right and below; without it they have to be of one size. */
  readonly canvas?: Size2D
  /** What views show of the canvas where there is no image; see `Placement`. */
  readonly surround?: Surround
}

/** Images of a batch that are opened at a time. */
const openedAtOnce = 8

/**
 * Labelled images that are read in parts, as a stream; a shuffled pass takes them in the order of `epochOrder`.
 *
 * @throws RangeError in a pass, naming the image that is larger than the canvas, or without a canvas of another size than
 *   the others, has another number of channels, or of which a box lies outside
 */
export function regionStream(records: RegionRecords, options: RegionStreamOptions = {}): RegionStream {
  const { canvas } = options
  const { count, shape, classNames, groupNames, labels } = records
  return {
    count,
    labels,
    some: positions => regionStream(someRegions(records, positions), options),
    shape: canvas ? [canvas[0], canvas[1], shape[2]] : shape,
    classNames,
    ...(groupNames && { groupNames }),
    batches: pass => openBatches(records, options, checkedPass(pass, count)),
  }
}

async function* openBatches(
  records: RegionRecords,
  options: RegionStreamOptions,
  { batchSize, shuffle, start = 0, end = records.count, shard }: StreamPass,
): AsyncGenerator<RegionBatch, void, undefined> {
  const { count } = records
  const order = shuffle
    ? epochOrder(count, shuffle.seed, shuffle.epoch)
    : Int32Array.from({ length: count }, (_, position) => position)
  for (const share of batchShares({ batchSize, start, end, shard })) {
    yield openBatch(
      records,
      options,
      placesOf(share).map(place => order[place] as number),
    )
  }
}

async function openBatch(
  records: RegionRecords,
  options: RegionStreamOptions,
  positions: Int32Array,
): Promise<RegionBatch> {
  const sources: RegionSource[] = []
  for (let first = 0; first < positions.length; first += openedAtOnce) {
    const some = positions.subarray(first, first + openedAtOnce)
    sources.push(...(await Promise.all(Array.from(some, position => opened(records, options, position)))))
  }
  const { labels, groups } = records
  return {
    sources,
    labels: positions.map(position => labels[position] as number),
    ...(groups && { groups: positions.map(position => groups[position] as number) }),
    count: positions.length,
    ...(records.objects && { objects: Array.from(positions, position => checkedObjects(records, position)) }),
  }
}

async function opened(
  records: RegionRecords,
  { canvas, surround = 'zeros' }: RegionStreamOptions,
  position: number,
): Promise<RegionSource> {
  const { shape } = records
  const name = records.name(position)
  const source = await records.open(position)
  const { height, width, channels } = source
  if (channels !== shape[2]) {
    throw new RangeError(`${name}: image must have ${shape[2]} channels, as the others, got ${channels}`)
  }
  if (!canvas) {
    if (height === shape[0] && width === shape[1]) return source
    throw new RangeError(
      `${name}: image must be ${shape[0]}x${shape[1]}, as the others, where no canvas is set, got ${height}x${width}`,
    )
  }
  if (height > canvas[0] || width > canvas[1]) {
    throw new RangeError(
      `${name}: image must fit on the canvas of ${canvas[0]}x${canvas[1]}, got ${height}x${width}`,
    )
  }
  if (height === canvas[0] && width === canvas[1]) return source
  return placedSource(source, { canvas, top: 0, left: 0, surround }, name)
}

function checkedObjects(records: RegionRecords, position: number): RegionObjects {
  const objects = records.objects?.(position) as RegionObjects
  const { boxes, relevant } = objects
  const [height, width] = records.shape
  if (boxes.length !== 4 * relevant.length) {
    throw new RangeError(
      `${records.name(position)}: boxes must be four numbers for each of ${relevant.length} objects, got ${boxes.length}`,
    )
  }
  for (let number = 0; number < relevant.length; number++) {
    const box = boxAt(boxes, number)
    if (box[2] >= 1 && box[3] >= 1 && meets(box, [0, 0, height, width])) continue
    throw new RangeError(
      `${records.name(position)}: boxes (top, left, height, width) must have a pixel in the image of ` +
        `${height}x${width}, got ${box.join(', ')} (object ${number})`,
    )
  }
  return objects
}

/**
 * Images of which any can be read at any time, as those of a prepared folder, as images that are read in parts: an image is
 * read whole when it is first looked at, and held until it is closed.
 */
export function storedRegions(records: ImageRecords): RegionRecords {
  const [height, width, channels] = records.shape
  return {
    ...described(records),
    open: async position => {
      let reading: Promise<RegionSource> | undefined
      const source = (): Promise<RegionSource> => {
        reading ??= readSource(records, position, numbered(position))
        return reading
      }
      return {
        height,
        width,
        channels,
        view: async scale => (await source()).view(scale),
        regions: async boxes => (await source()).regions(boxes),
        async close() {
          reading = undefined
        },
      }
    },
  }
}

async function readSource(records: ImageRecords, position: number, name: string): Promise<RegionSource> {
  const { images } = await records.read(Int32Array.of(position))
  checkPixels(name, { images })
  return arraySource(images as Uint8Array, records.shape, name)
}

/**
 * Images in memory as images that are read in parts. Where the set says which cell or which box of an image shows its class, that is
 * its relevant object; the other cells are objects as well.
 */
export function regionRecords(set: PixelSet): RegionRecords {
  const { images, shape } = set
  const imageBytes = shape[0] * shape[1] * shape[2]
  return {
    ...described(set),
    async open(position) {
      const pixels = images.subarray(position * imageBytes, (position + 1) * imageBytes)
      return arraySource(pixels, shape, numbered(position))
    },
  }
}

/** The name of an image that has none of its own. */
function numbered(position: number): string {
  return `image ${position}`
}

/** What records say of their images, without opening them. */
function described(set: Omit<PixelSet, 'images'>): Omit<RegionRecords, 'open'> {
  const { labels, count, shape, classNames, groups, groupNames } = set
  const objects = objectsOf(set)
  return {
    count,
    shape,
    labels,
    classNames,
    ...(groups && { groups }),
    ...(groupNames && { groupNames }),
    name: numbered,
    ...(objects && { objects }),
  }
}

function objectsOf({
  shape,
  cells,
  trueCell,
  objectBox,
}: Omit<PixelSet, 'images'>): RegionRecords['objects'] {
  if (objectBox) {
    return position => ({
      boxes: objectBox.slice(4 * position, 4 * position + 4),
      relevant: Uint8Array.of(1),
    })
  }
  if (!cells || !trueCell) return undefined
  const [height, width] = [shape[0] / cells[0], shape[1] / cells[1]]
  const boxes = Array.from({ length: cells[0] * cells[1] }, (_, cell) => [
    Math.floor(cell / cells[1]) * height,
    (cell % cells[1]) * width,
    height,
    width,
  ])
  return position => ({
    boxes: Int32Array.from(boxes.flat()),
    relevant: Uint8Array.from(boxes, (_, cell) => Number(cell === trueCell[position])),
  })
}
