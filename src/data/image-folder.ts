import { loadCatalog } from './catalog-images.js'
import type { DataSource } from './data-source.js'
import { checkSamples, type DatasetEntry, testSeed } from './dataset.js'
import type { CatalogHalf } from './image-catalog.js'
import { type ImageListing, listFolders, listImages } from './image-listing.js'
import { nestedOrder } from './nested-order.js'
import { photoDecoding } from './photo-decoding.js'
import { keepForTest, testFolders } from './test-share.js'

/**
 * A person's own labelled images: one folder a class, or such folders in `train/` and in `test/` (or `val/`,
 * `validation/`).
 *
 * Images may lie in folders within those of the classes; hidden files and files that are no images by their names do
 * not count. Without a test half, a fifth of the images of each class is kept for it: always the same ones, whatever
 * the seed of the training. Classes are numbered in the order of their names' UTF-16 code units.
 */
export const imageFolder: DatasetEntry & Required<Pick<DatasetEntry, 'catalog'>> = {
  name: 'image-folder',
  title: 'Your images',
  source: 'folder',
  description:
    'Your own images: one folder a class, or train/ and test/ with such folders; RGB, 64x64 by default.',
  licence: 'yours',
  homepage: 'README.md, "Your own data"',
  settings: ['imageSize', 'crop'],
  async catalog(source, options) {
    checkSamples(imageFolder.name, options)
    const decoding = photoDecoding(imageFolder.name, options)
    const { classNames, train, test } = await findHalves(source)
    return {
      train: half(source, classNames, train, options.samples, options.seed),
      test: half(source, classNames, test, options.testSamples, testSeed),
      classNames,
      decoding,
    }
  },
  async load(source, options) {
    const catalog = await imageFolder.catalog(source, options)
    return loadCatalog(imageFolder.name, catalog, options.decode)
  },
}

/** The image files of a half, class by class. */
type ClassFiles = readonly (readonly string[])[]

interface Halves {
  readonly classNames: readonly string[]
  readonly train: ClassFiles
  readonly test: ClassFiles
}

async function findHalves(source: DataSource): Promise<Halves> {
  const folders = await listFolders(source, '')
  const hasTrain = folders.includes('train')
  const testFolder = hasTrain ? testFolders.find(name => folders.includes(name)) : undefined
  const trainFolder = hasTrain ? 'train' : ''
  const classNames = await classesIn(source, trainFolder)
  const train = await filesOf(source, trainFolder, classNames)
  if (testFolder === undefined) return { classNames, ...split(source, classNames, train) }
  const tested = await listFolders(source, testFolder)
  const odd = [...tested.filter(name => !classNames.includes(name)), ...missing(classNames, tested)]
  if (odd.length > 0) {
    throw new Error(
      `${source.describe(testFolder)}: classes must be those of ${source.describe(trainFolder)}, ` +
        `got ${odd.map(name => JSON.stringify(name)).join(', ')} in one of them only`,
    )
  }
  return { classNames, train, test: await filesOf(source, testFolder, classNames) }
}

function missing(classNames: readonly string[], found: readonly string[]): string[] {
  return classNames.filter(name => !found.includes(name))
}

async function classesIn(source: DataSource, folder: string): Promise<readonly string[]> {
  const classNames = [...(await listFolders(source, folder))].sort()
  if (classNames.length >= 2) return classNames
  const got = classNames.length === 0 ? 'none' : `only ${JSON.stringify(classNames[0])}`
  throw new Error(
    `${source.describe(folder)}: folder must hold a folder for each of 2 or more classes, got ${got}`,
  )
}

async function filesOf(
  source: DataSource,
  folder: string,
  classNames: readonly string[],
): Promise<readonly (readonly string[])[]> {
  const files: (readonly string[])[] = []
  for (const name of classNames) {
    const path = folder === '' ? name : `${folder}/${name}`
    const { paths, ignored }: ImageListing = await listImages(source, path)
    if (paths.length === 0) {
      throw new Error(
        `${source.describe(path)}: class must hold an image, got none (${ignored} other files; images end in ` +
          '.jpg, .png, .webp, .gif, .avif or .tif)',
      )
    }
    files.push(paths)
  }
  return files
}

/** Keeps a share of each class for testing, the same whatever the seed of the training. */
function split(
  source: DataSource,
  classNames: readonly string[],
  files: ClassFiles,
): { train: ClassFiles; test: ClassFiles } {
  const halves = files.map((paths, label) => {
    const name = classNames[label] as string
    if (paths.length < 2) {
      throw new Error(
        `${source.describe(paths[0] as string)}: class ${JSON.stringify(name)} must have 2 images or more, one of ` +
          `them for testing, got ${paths.length}`,
      )
    }
    const { train, test } = keepForTest(paths.length, `test images of ${name}`)
    const at = (positions: Int32Array): string[] => Array.from(positions, place => paths[place] as string)
    return { train: at(train), test: at(test) }
  })
  return { train: halves.map(({ train }) => train), test: halves.map(({ test }) => test) }
}

/** The images of a half in their nested order: all of them, or as many as asked with the classes in balance. */
function half(
  source: DataSource,
  classNames: readonly string[],
  files: ClassFiles,
  asked: number | undefined,
  seed: number,
): CatalogHalf {
  if (asked !== undefined) checkEnough(classNames, files, asked)
  const paths = files.flat()
  const labels = Int32Array.from(files.flatMap((inClass, label) => inClass.map(() => label)))
  const order = nestedOrder({ labels, classNames, count: labels.length }, seed).subarray(0, asked)
  const path = (position: number): string => paths[order[position] as number] as string
  return {
    count: order.length,
    labels: order.map(place => labels[place] as number),
    name: position => source.describe(path(position)),
    encoded: position => source.read(path(position)),
  }
}

function checkEnough(classNames: readonly string[], files: ClassFiles, asked: number): void {
  for (const [label, paths] of files.entries()) {
    const share = Math.ceil((asked - label) / classNames.length)
    if (paths.length >= share) continue
    throw new RangeError(
      `image-folder: class ${label} "${classNames[label]}" must have ${share} images, got ${paths.length} ` +
        `(${asked} images of ${classNames.length} classes asked)`,
    )
  }
}
