import { permutation, random } from '../../random.js'
import { decodeReadable } from '../catalog-images.js'
import type { DataSource } from '../data-source.js'
import { type DatasetOptions, testSeed } from '../datasets/dataset.js'
import { halvesByName } from '../datasets/image-folder/folder-halves.js'
import { listFolders, listImages } from '../datasets/image-folder/image-listing.js'
import { keepForTest } from '../datasets/image-folder/test-share.js'
import { readPngSize } from '../formats/png-header.js'
import type { DecodeImage } from '../image-decoding.js'
import { type UnreadableImage, UnreadableImages, unreadableText } from '../unreadable-images.js'
import { allocateImages, type ImagePool } from './composing.js'

/** Images that lie behind others; training and test images have different ones. */
export interface Backgrounds {
  readonly train: ImagePool
  readonly test: ImagePool
  /** Photographs that were left out because they could not be read. */
  readonly unreadable: readonly UnreadableImage[]
}

/**
 * The classes of ImageNet's thousand that are plants (WordNet n00017222): daisy and yellow lady's slipper.
 */
export const plantSynsets = ['n11939491', 'n12057211'] as const

/** Where the folders of the classes are in copies of ImageNet. */
const imageNetFolders = ['', 'train', 'ILSVRC/Data/CLS-LOC/train']
/** Largest number of backgrounds of a half; where there are more, the first of a seeded order are taken. */
const mostBackgrounds = 20_000

/**
 * Loads backgrounds of 32x32 RGB.
 *
 * Three kinds of folders are known: two sheets of 32x32 tiles, `train.png` and `test.png`; a copy of ImageNet, of which
 * the plants are taken; any other folder with images at any depth, with its halves in `train/` and `test/`, or `val/`,
 * where it has them (other names: `halvesByName`). Photographs are stretched to the size. Where there are no halves, a fifth of the
 * images is kept for testing, always the same ones.
 *
 * @param name of the dataset, for errors
 * @throws TypeError without a folder or without a decoder; Error when there are too few images, or
 *   too many of them are unreadable
 */
export async function loadBackgrounds(
  name: string,
  {
    backgrounds: source,
    decode,
    maxUnreadable,
  }: Pick<DatasetOptions, 'backgrounds' | 'decode' | 'maxUnreadable'>,
): Promise<Backgrounds> {
  if (!source) {
    throw new TypeError(`${name}: backgrounds must be a folder of images or a copy of ImageNet, got none`)
  }
  if (!decode) throw new TypeError(`${name}: decode must be a decoder of image files, got none`)
  if ((await source.exists('train.png')) && (await source.exists('test.png'))) {
    return {
      train: await readTiles(source, 'train.png', decode),
      test: await readTiles(source, 'test.png', decode),
      unreadable: [],
    }
  }
  const { train, test } = await findHalves(source)
  const where = `${name}: backgrounds`
  const unreadable = new UnreadableImages(where, train.length + test.length, maxUnreadable)
  return {
    train: await readPhotographs(source, train, decode, unreadable),
    test: await readPhotographs(source, test, decode, unreadable),
    unreadable: unreadable.images,
  }
}

const side = 32
const shape = [side, side, 3] as const
const imageBytes = side * side * 3

async function findHalves(
  source: DataSource,
): Promise<{ train: readonly string[]; test: readonly string[] }> {
  const plants = await findPlants(source)
  if (plants) return split(source, plants)
  const halves = halvesByName(await listFolders(source, ''), source.describe(''))
  const test = halves.test ?? halves.validation
  if (halves.train === undefined || test === undefined) {
    return split(source, (await listImages(source, '')).paths)
  }
  return { train: await someOf(source, halves.train), test: await someOf(source, test) }
}

/** The images of the plants in a copy of ImageNet; undefined where the folder is no such copy. */
async function findPlants(source: DataSource): Promise<readonly string[] | undefined> {
  for (const folder of imageNetFolders) {
    const folders = await foldersAt(source, folder)
    const synsets = plantSynsets.filter(synset => folders.includes(synset))
    if (synsets.length === 0) continue
    const listings = synsets.map(synset => listImages(source, folder === '' ? synset : `${folder}/${synset}`))
    return (await Promise.all(listings)).flatMap(({ paths }) => paths)
  }
  return undefined
}

/** The folders in a folder that may not be there. */
async function foldersAt(source: DataSource, folder: string): Promise<readonly string[]> {
  let path = ''
  for (const name of folder === '' ? [] : folder.split('/')) {
    if (!(await listFolders(source, path)).includes(name)) return []
    path = path === '' ? name : `${path}/${name}`
  }
  return listFolders(source, path)
}

async function someOf(source: DataSource, folder: string): Promise<readonly string[]> {
  const { paths, ignored } = await listImages(source, folder)
  if (paths.length > 0) return pathsAt(paths, permutation(paths.length, random(testSeed, 'backgrounds')))
  throw new Error(
    `${source.describe(folder)}: folder must hold images to lie behind others, got none (${ignored} other files)`,
  )
}

function split(source: DataSource, paths: readonly string[]): { train: string[]; test: string[] } {
  if (paths.length < 2) {
    throw new Error(
      `${source.describe('')}: folder must hold 2 images or more to lie behind others, one of them for testing, ` +
        `got ${paths.length}`,
    )
  }
  const { train, test } = keepForTest(paths.length, 'backgrounds')
  return { train: pathsAt(paths, train), test: pathsAt(paths, test) }
}

function pathsAt(paths: readonly string[], positions: Int32Array): string[] {
  return Array.from(positions.subarray(0, mostBackgrounds), position => paths[position] as string)
}

async function readPhotographs(
  source: DataSource,
  paths: readonly string[],
  decode: DecodeImage,
  unreadable: UnreadableImages,
): Promise<ImagePool> {
  const memory = allocateImages('loadBackgrounds', paths.length, imageBytes)
  const path = (position: number): string => paths[position] as string
  const files = {
    count: paths.length,
    name: (position: number) => source.describe(path(position)),
    encoded: (position: number) => source.read(path(position)),
  }
  const { images, positions } = await decodeReadable(files, {
    decode,
    decoding: { shape },
    unreadable,
    memory,
  })
  if (positions.length > 0) return { images, count: positions.length, shape }
  const reasons = unreadable.images.slice(-paths.length).map(unreadableText)
  throw new Error(
    `${source.describe('')}: a half must hold an image that can be read, got 0 of ${paths.length}:\n  ${reasons.slice(0, 5).join('\n  ')}`,
  )
}

/** Cuts a sheet into its tiles, row by row. */
async function readTiles(source: DataSource, path: string, decode: DecodeImage): Promise<ImagePool> {
  const name = source.describe(path)
  const bytes = await source.read(path)
  const [height, width] = readPngSize(bytes, name)
  if (height % side !== 0 || width % side !== 0) {
    throw new RangeError(`${name}: sides must be multiples of ${side} pixels, got ${height}x${width}`)
  }
  const sheet = await decode(bytes, { shape: [height, width, 3] }, name)
  const columns = width / side
  const count = (height / side) * columns
  const images = new Uint8Array(count * imageBytes)
  for (let row = 0; row < count * side; row++) {
    const tile = Math.floor(row / side)
    const sheetRow = Math.floor(tile / columns) * side + (row % side)
    const from = (sheetRow * width + (tile % columns) * side) * 3
    images.set(sheet.subarray(from, from + side * 3), row * side * 3)
  }
  return { images, count, shape }
}
