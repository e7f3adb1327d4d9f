import type { ImageShape } from '../../shapes.js'
import { checkClasses } from '../catalog-images.js'
import type { DatasetOptions, RegionDataset } from '../datasets/dataset.js'
import { eachInParallel } from '../each-in-parallel.js'
import type { BoxTable } from '../formats/box-table.js'
import { type CatalogHalf, type ImageCatalog, imageName } from '../image-catalog.js'
import { UnreadableImages } from '../unreadable-images.js'
import { type RegionRecords, regionStream, someRegions } from './region-records.js'
import type { OpenRegions, RegionSource } from './region-source.js'
import type { RegionStream } from './region-stream.js'

/** The images of a half that can be opened, and their sizes. */
interface OpenedHalf {
  readonly half: CatalogHalf
  /** Positions of the images in the half, ascending. */
  readonly positions: Int32Array
  /** Largest height and width. */
  readonly height: number
  readonly width: number
  readonly channels: number
}

/**
 * The image files of a catalog as images that are read in parts: all of one size by zeros to their right and below, the
 * largest height and width that there are. Only headers are read; files that cannot be opened are left out, up to a limit.
 *
 * @param name of the dataset
 * @param options.openRegions opens the files; the command line brings it
 * @param options.imageSize the size instead
 * @param boxes of things on training images, by the paths of the images
 * @throws TypeError without `openRegions`, or for images that are no files; Error naming the images when too many are
 *   unreadable, or the class of which no image can be opened
 */
export async function catalogRegions(
  name: string,
  catalog: ImageCatalog,
  {
    openRegions,
    imageSize,
    maxUnreadable,
  }: Pick<DatasetOptions, 'openRegions' | 'imageSize' | 'maxUnreadable'>,
  boxes?: BoxTable,
): Promise<RegionDataset> {
  if (!openRegions) throw new TypeError(`${name}: openRegions must open image files, got none`)
  const { train, validation, test, classNames } = catalog
  const total = train.count + (validation?.count ?? 0) + test.count
  const unreadable = new UnreadableImages(name, total, maxUnreadable)
  const opened: OpenedHalf[] = []
  for (const half of [train, test, ...(validation ? [validation] : [])]) {
    opened.push(await openedHalf(name, half, classNames, openRegions, unreadable))
  }
  const height = imageSize?.[0] ?? Math.max(...opened.map(half => half.height))
  const width = imageSize?.[1] ?? Math.max(...opened.map(half => half.width))
  const channels = Math.max(...opened.map(half => half.channels))
  const shape = [height, width, channels] as const
  const [trainStream, testStream, validationStream] = opened.map(half =>
    streamOfHalf(catalog, half, openRegions, shape),
  )
  const trainHalf = opened[0] as OpenedHalf
  const boxed =
    boxes && boxedRecords(name, recordsOf(catalog, trainHalf, openRegions, shape), trainHalf, boxes)
  return {
    name,
    train: trainStream as RegionDataset['train'],
    ...(boxed && { boxed: placed(boxed.records), boxedPositions: boxed.positions }),
    ...(validationStream && { validation: validationStream }),
    test: testStream as RegionDataset['test'],
    notes: [...(catalog.notes ?? []), ...(boxes ? unusedBoxes(boxes, trainHalf) : [])],
    unreadable: unreadable.images,
  }
}

/**
 * The image files of one half of a catalog as images that are read in parts, on a canvas of at least a given size.
 *
 * @param name of the dataset
 * @param least height, width and channels of the images, where none is larger
 * @param unreadable gets the files that cannot be opened
 * @throws as {@link catalogRegions}
 */
export async function halfRegions(
  name: string,
  catalog: Pick<ImageCatalog, 'classNames' | 'groupNames'>,
  half: CatalogHalf,
  least: ImageShape,
  openRegions: OpenRegions,
  unreadable: UnreadableImages,
): Promise<RegionStream> {
  const opened = await openedHalf(name, half, catalog.classNames, openRegions, unreadable)
  return streamOfHalf(catalog, opened, openRegions, [
    Math.max(least[0], opened.height),
    Math.max(least[1], opened.width),
    least[2],
  ])
}

function streamOfHalf(
  catalog: Pick<ImageCatalog, 'classNames' | 'groupNames'>,
  opened: OpenedHalf,
  openRegions: OpenRegions,
  shape: ImageShape,
): RegionStream {
  const { half, positions } = opened
  const stream = placed(recordsOf(catalog, opened, openRegions, shape))
  return { ...stream, names: Array.from(positions, position => imageName(half, position)) }
}

/** Images on a canvas of their records' shape, continued by their edges, which would stand out against zeros and draw the kept patches. */
function placed(records: RegionRecords): RegionStream {
  const [height, width] = records.shape
  return regionStream(records, { canvas: [height, width], surround: 'edges' })
}

async function openedHalf(
  name: string,
  half: CatalogHalf,
  classNames: readonly string[],
  open: OpenRegions,
  unreadable: UnreadableImages,
): Promise<OpenedHalf> {
  if (!half.path) {
    throw new TypeError(
      `${name}: images must be files of their own to be read in parts, got some that are not`,
    )
  }
  const sources = new Map<number, RegionSource>()
  const failures = new Map<number, unknown>()
  await eachInParallel(half.count, async position => {
    try {
      sources.set(position, await open(half.path?.(position) as string))
    } catch (error) {
      failures.set(position, error)
    }
  })
  for (const position of [...failures.keys()].sort((a, b) => a - b)) {
    unreadable.add(half.name(position), failures.get(position))
  }
  unreadable.check()
  const images = [...sources.values()]
  const positions = Int32Array.from(sources.keys()).sort()
  const labels = positions.map(position => half.labels[position] as number)
  checkClasses(name, classNames, [half.labels, labels], unreadable)
  return {
    half,
    positions,
    height: images.reduce((most, { height }) => Math.max(most, height), 0),
    width: images.reduce((most, { width }) => Math.max(most, width), 0),
    channels: images.reduce((most, { channels }) => Math.max(most, channels), 0),
  }
}

/** The training images that a table has boxes of, and which these are; all of their things count. */
function boxedRecords(
  name: string,
  records: RegionRecords,
  { half, positions }: OpenedHalf,
  boxes: BoxTable,
): { readonly records: RegionRecords; readonly positions: Int32Array } {
  const boxesOf = (position: number) => boxes.get(half.path?.(positions[position] as number) ?? '')
  const boxed = Int32Array.from({ length: records.count }, (_, position) => position).filter(boxesOf)
  if (boxed.length === 0) {
    const [first] = boxes.keys()
    throw new RangeError(
      `${name}: boxes must be of training images, named as in ${records.name(0)}, got none among ${boxes.size}, ` +
        `of which the first is ${JSON.stringify(first)}`,
    )
  }
  const known = (position: number) => {
    const own = boxesOf(position) as Int32Array
    return { boxes: own, relevant: new Uint8Array(own.length / 4).fill(1) }
  }
  return { records: someRegions(records, boxed, known), positions: boxed }
}

/** Says which images of a table are not trained on: of another half, left out, or misspelt. */
function unusedBoxes(boxes: BoxTable, { half, positions }: OpenedHalf): readonly string[] {
  const trained = new Set(Array.from(positions, position => half.path?.(position)))
  const unused = [...boxes.keys()].filter(path => !trained.has(path))
  if (unused.length === 0) return []
  return [
    `Images with boxes that are not among the training images, and teach nothing: ${unused.length} of ${boxes.size}, ` +
      `${unused[0]} for one.`,
  ]
}

function recordsOf(
  { classNames, groupNames }: Pick<ImageCatalog, 'classNames' | 'groupNames'>,
  { half, positions }: OpenedHalf,
  open: OpenRegions,
  shape: ImageShape,
): RegionRecords {
  const { labels, groups } = half
  const stored = (position: number): number => positions[position] as number
  return {
    count: positions.length,
    shape,
    labels: positions.map(position => labels[position] as number),
    classNames,
    ...(groupNames &&
      groups && { groupNames, groups: positions.map(position => groups[position] as number) }),
    name: position => half.name(stored(position)),
    open: position => open(half.path?.(stored(position)) as string),
  }
}
