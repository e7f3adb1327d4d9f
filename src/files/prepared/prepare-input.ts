import { pickBoxes } from '../../data/compose/object-box.js'
import type { DataSource } from '../../data/data-source.js'
import { type DatasetOptions, type ImageDataset, testSeed } from '../../data/datasets/dataset.js'
import type { CatalogHalf, ImageCatalog } from '../../data/image-catalog.js'
import type { DecodeImage } from '../../data/image-decoding.js'
import type { ImageSet } from '../../data/image-set.js'
import { largestNested, nestedOrder } from '../../data/nested-order.js'
import type { UnreadableImage } from '../../data/unreadable-images.js'
import type { ImageShape, Size2D } from '../../shapes.js'

/** The images that are to be prepared, training or test, in the order in which they are stored. */
export interface InputHalf {
  readonly count: number
  readonly labels: Int32Array
  readonly groups?: Int32Array
  readonly trueCell?: Int32Array
  /** (count, 4) top, left, height and width of the object on each image; with `objectBoxes`. */
  readonly objectBox?: Int32Array
  /** Name of an image for people. */
  name(position: number): string
  /** Its pixels, (height, width, channels); rejects where it cannot be decoded. */
  pixels(position: number): Promise<Uint8Array>
}

/** Everything that is to be prepared. */
export interface PrepareInput {
  readonly shape: ImageShape
  readonly classNames: readonly string[]
  readonly groupNames?: readonly string[]
  readonly cells?: Size2D
  /** Whether the images have the boxes of their objects. */
  readonly objectBoxes?: true
  readonly train: InputHalf
  readonly validation?: InputHalf
  readonly test: InputHalf
  /** What was found and what was left out, a sentence each. */
  readonly notes: readonly string[]
  /** Images that the dataset itself has left out, since they are unreadable. */
  readonly unreadable: readonly UnreadableImage[]
}

/**
 * Finds the images of a dataset, in the order whose beginnings are the smaller sets.
 *
 * Image files are found without being decoded; other datasets are loaded.
 *
 * @throws what the dataset throws; TypeError for a dataset of floats
 */
export async function prepareInput(
  entry: ImageDataset,
  source: DataSource,
  options: DatasetOptions,
  decode: DecodeImage,
): Promise<PrepareInput> {
  if (entry.catalog) return fromCatalog(await entry.catalog(source, { ...options, decode }), decode)
  const { train, test, notes, unreadable } = await nestedDataset(entry, source, { ...options, decode })
  const { shape, classNames, groupNames, cells, objectBox } = train.set
  return {
    shape,
    classNames,
    ...(groupNames && { groupNames }),
    ...(cells && { cells }),
    ...(objectBox && { objectBoxes: true }),
    train: fromSet(entry.name, train),
    test: fromSet(entry.name, test),
    notes,
    unreadable,
  }
}

function fromCatalog(catalog: ImageCatalog, decode: DecodeImage): PrepareInput {
  const { classNames, groupNames, decoding } = catalog
  const half = (images: CatalogHalf): InputHalf => ({
    count: images.count,
    labels: images.labels,
    ...(images.groups && { groups: images.groups }),
    name: position => images.name(position),
    pixels: async position => decode(await images.encoded(position), decoding, images.name(position)),
  })
  return {
    shape: decoding.shape,
    classNames,
    ...(groupNames && { groupNames }),
    train: half(catalog.train),
    ...(catalog.validation && { validation: half(catalog.validation) }),
    test: half(catalog.test),
    notes: catalog.notes ?? [],
    unreadable: [],
  }
}

function fromSet(dataset: string, { set, order }: NestedSet): InputHalf {
  const { images, count, groups, trueCell, objectBox, shape } = set
  // Records hold bytes.
  if (images instanceof Float32Array) {
    throw new TypeError(
      `${dataset}: images must be pixels to be prepared, got floats (train on ${dataset} without preparing it)`,
    )
  }
  const imageBytes = shape[0] * shape[1] * shape[2]
  const storedPosition = (position: number): number => order?.[position] ?? position
  const ordered = (values: Int32Array): Int32Array =>
    order ? order.map(position => values[position] as number) : values
  return {
    count,
    labels: ordered(set.labels),
    ...(groups && { groups: ordered(groups) }),
    ...(trueCell && { trueCell: ordered(trueCell) }),
    ...(objectBox && { objectBox: order ? pickBoxes(objectBox, order) : objectBox }),
    name: position => `image ${storedPosition(position)}`,
    pixels: async position => {
      const first = storedPosition(position) * imageBytes
      return images.subarray(first, first + imageBytes)
    },
  }
}

/**
 * Loads a dataset in the order whose beginnings are its smaller sets. Datasets keep to this order where a number of
 * images is requested, and need not otherwise; so all images are requested by their number.
 */
async function nestedDataset(
  entry: ImageDataset,
  source: DataSource,
  options: DatasetOptions,
): Promise<NestedDataset> {
  const { samples, testSamples, seed } = options
  const asStored = (half: ImageSet): NestedSet => ({ set: half })
  if (samples !== undefined && testSamples !== undefined) {
    const { train, test, notes = [], unreadable = [] } = await entry.load(source, options)
    return { train: asStored(train), test: asStored(test), notes, unreadable }
  }
  const loaded = await entry.load(source, options)
  const isBalanced = (set: ImageSet) => largestNested(set) === set.count
  const requested = await entry.load(source, {
    ...options,
    ...(isBalanced(loaded.train) && { samples: samples ?? loaded.train.count }),
    ...(isBalanced(loaded.test) && { testSamples: testSamples ?? loaded.test.count }),
  })
  // Where classes differ in size, no number of images covers all of them: the images left over come last.
  const nested = (set: ImageSet, orderSeed: number): NestedSet =>
    isBalanced(set) ? { set } : { set, order: nestedOrder(set, orderSeed) }
  return {
    train: samples === undefined ? nested(requested.train, seed) : asStored(requested.train),
    test: testSamples === undefined ? nested(requested.test, testSeed) : asStored(requested.test),
    notes: requested.notes ?? [],
    unreadable: requested.unreadable ?? [],
  }
}

/** A set, and its order where that is not the stored one. */
interface NestedSet {
  readonly set: ImageSet
  readonly order?: Int32Array
}

interface NestedDataset extends Pick<PrepareInput, 'notes' | 'unreadable'> {
  readonly train: NestedSet
  readonly test: NestedSet
}
