import { checkClasses } from '../catalog-images.js'
import type { DatasetOptions, RegionDataset } from '../datasets/dataset.js'
import { eachInParallel } from '../each-in-parallel.js'
import type { BoxTable } from '../formats/box-table.js'
import type { CatalogHalf, ImageCatalog } from '../image-catalog.js'
import { UnreadableImages } from '../unreadable-images.js'
import { type RegionRecords, regionStream, someRegions } from './region-records.js'
import type { OpenRegions, RegionSource } from './region-source.js'

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
  const open = (half: CatalogHalf): OpenRegions => {
    if (half.path) return openRegions
    throw new TypeError(
      `${name}: images must be files of their own to be read in parts, got some that are not`,
    )
  }
  const opened: OpenedHalf[] = []
  for (const half of [train, test, ...(validation ? [validation] : [])]) {
    const examined = await openedHalf(half, open(half), unreadable)
    const labels = examined.positions.map(position => half.labels[position] as number)
    checkClasses(name, classNames, [half.labels, labels], unreadable)
    opened.push(examined)
  }
  const canvas = imageSize ?? [
    Math.max(...opened.map(({ height }) => height)),
    Math.max(...opened.map(({ width }) => width)),
  ]
  const channels = Math.max(...opened.map(half => half.channels))
  // The edge of a photograph would stand out against zeros, and draw the patches that are kept.
  const placement = { canvas: [canvas[0] as number, canvas[1] as number], surround: 'edges' } as const
  const [trainRecords, testRecords, validationRecords] = opened.map(half =>
    recordsOf(catalog, half, openRegions, [...placement.canvas, channels]),
  ) as [RegionRecords, RegionRecords, RegionRecords?]
  const boxed = boxes && boxedRecords(name, trainRecords, opened[0] as OpenedHalf, boxes)
  return {
    name,
    train: regionStream(trainRecords, placement),
    ...(boxed && { boxed: regionStream(boxed, placement) }),
    ...(validationRecords && { validation: regionStream(validationRecords, placement) }),
    test: regionStream(testRecords, placement),
    notes: catalog.notes ?? [],
    unreadable: unreadable.images,
  }
}

async function openedHalf(
  half: CatalogHalf,
  open: OpenRegions,
  unreadable: UnreadableImages,
): Promise<OpenedHalf> {
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
  return {
    half,
    positions: Int32Array.from(sources.keys()).sort(),
    height: images.reduce((most, { height }) => Math.max(most, height), 0),
    width: images.reduce((most, { width }) => Math.max(most, width), 0),
    channels: images.reduce((most, { channels }) => Math.max(most, channels), 0),
  }
}

/** The training images that a table has boxes of; all of their things count. */
function boxedRecords(
  name: string,
  records: RegionRecords,
  { half, positions }: OpenedHalf,
  boxes: BoxTable,
): RegionRecords {
  const boxesOf = (position: number) => boxes.get(half.path?.(positions[position] as number) ?? '')
  const boxed = Int32Array.from({ length: records.count }, (_, position) => position).filter(boxesOf)
  if (boxed.length === 0) {
    const [first] = boxes.keys()
    throw new RangeError(
      `${name}: boxes must be of training images, named as in ${records.name(0)}, got none among ${boxes.size}, ` +
        `of which the first is ${JSON.stringify(first)}`,
    )
  }
  return someRegions(records, boxed, position => {
    const own = boxesOf(position) as Int32Array
    return { boxes: own, relevant: new Uint8Array(own.length / 4).fill(1) }
  })
}

function recordsOf(
  { classNames, groupNames }: ImageCatalog,
  { half, positions }: OpenedHalf,
  open: OpenRegions,
  shape: readonly [number, number, number],
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
