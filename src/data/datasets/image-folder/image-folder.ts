import { loadCatalog } from '../../catalog-images.js'
import type { DataSource } from '../../data-source.js'
import { parseBoxTable } from '../../formats/box-table.js'
import type { CatalogHalf } from '../../image-catalog.js'
import { nestedOrder } from '../../nested-order.js'
import { photoDecoding } from '../../photo-decoding.js'
import { catalogRegions } from '../../regions/catalog-regions.js'
import { checkSamples, type DatasetEntry, testSeed } from '../dataset.js'
import { cosineAdam, positionExperts, sgd, type TrainingRecipe } from '../dataset-recipe.js'
import { findClasses, hasImageFolders, sameClasses } from './folder-classes.js'
import { counted, findLayout } from './folder-halves.js'
import { joined, listImages } from './image-listing.js'
import { countedEndings, LeftOut } from './left-out.js'
import { keepForTest } from './test-share.js'

/** Trains on all images (the number is an upper limit); with momentum, since their difficulty is unknown. */
const training: TrainingRecipe = { ...sgd(1_000_000, 30, 32, 0.02), optimizer: 'momentum', momentum: 0.9 }

/**
 * A person's own labelled images: one folder a class, or such folders in `train/` and in `test/` or `val/`, or in all
 * three; see `findLayout` for the names of halves.
 *
 * Images may lie in folders within those of the classes; hidden files and files that are no images by their names do
 * not count. Without a test half, a fifth of the images of each class is kept for it: always the same ones, whatever
 * the seed of the training. Classes are numbered in the order of their names' UTF-16 code units.
 */
export const imageFolder: DatasetEntry & Required<Pick<DatasetEntry, 'catalog' | 'regions'>> = {
  name: 'image-folder',
  title: 'Your images',
  source: 'folder',
  description:
    'Your own images: one folder a class, or train/, val/ and test/ with such folders; RGB, 64x64 by default.',
  licence: 'yours',
  homepage: 'docs/own-images.md',
  settings: ['imageSize', 'crop', 'whiteLevel', 'boxes'],
  format: { title: 'folders of images, one a class', isIn: hasImageFolders },
  recipe: {
    suggested: 'wide',
    wide: { widenFactor: 2, mixture: { ...positionExperts, patchesPerExpert: 64 }, training },
    twoLayer: { patchSize: 8, patches: 64, patchesPerExpert: 16, training: { ...training, batchSize: 20 } },
    // A person's photographs are few: small batches, so that an epoch has more steps.
    routed: { expertPixels: 'centred', training: { ...cosineAdam(1_000_000, 30), batchSize: 8 } },
  },
  async catalog(source, options) {
    checkSamples(imageFolder.name, options)
    const decoding = photoDecoding(imageFolder.name, options)
    const { classNames, train, validation, test, notes } = await findHalves(source)
    return {
      train: half(source, classNames, train, options.samples, options.seed),
      ...(validation && { validation: half(source, classNames, validation, undefined, testSeed) }),
      test: half(source, classNames, test, options.testSamples, testSeed),
      classNames,
      decoding,
      notes,
    }
  },
  async load(source, options) {
    const catalog = await imageFolder.catalog(source, options)
    return loadCatalog(imageFolder.name, catalog, options)
  },
  async regions(source, options) {
    if ((options.crop ?? 'none') !== 'none') {
      throw new RangeError(
        `image-folder: crop must be none for images that are read in parts, got ${options.crop}`,
      )
    }
    const catalog = await imageFolder.catalog(source, options)
    const { boxes } = options
    const table =
      boxes === undefined ? undefined : parseBoxTable(await source.read(boxes), source.describe(boxes))
    return catalogRegions(imageFolder.name, catalog, options, table)
  },
}

/** The image files of a half, class by class. */
type ClassFiles = readonly (readonly string[])[]

/** The image files of every half that there is. */
interface Halves {
  readonly classNames: readonly string[]
  readonly train: ClassFiles
  readonly validation?: ClassFiles
  readonly test: ClassFiles
  readonly notes: readonly string[]
}

async function findHalves(source: DataSource): Promise<Halves> {
  const { halves, notes: layoutNotes } = await findLayout(source)
  const classes = await findClasses(source, halves.train)
  const notes = [...layoutNotes, ...classes.notes]
  const leftOut = new LeftOut(source)
  const filesIn = async (half: string): Promise<ClassFiles> => {
    const folders = half === halves.train ? classes.folders : await sameClasses(source, half, classes, notes)
    return filesOf(source, half, folders, leftOut)
  }
  const trainFiles = await filesIn(halves.train)
  const { validation: validationFolder, test: testFolder } = halves
  const validation = validationFolder === undefined ? undefined : await filesIn(validationFolder)
  const { train, test } =
    testFolder === undefined
      ? split(source, classes.names, trainFiles)
      : { train: trainFiles, test: await filesIn(testFolder) }
  if (testFolder === undefined) {
    notes.push(
      `No test half: ${counted(test.flat().length, 'image')}, a fifth of each class, ` +
        'are kept for testing, always the same ones.',
    )
  }
  return {
    classNames: classes.names,
    train,
    ...(validation && { validation }),
    test,
    notes: [...notes, ...leftOut.notes],
  }
}

async function filesOf(
  source: DataSource,
  half: string,
  folders: readonly string[],
  leftOut: LeftOut,
): Promise<ClassFiles> {
  await leftOut.addLinks(half)
  const files: (readonly string[])[] = []
  for (const name of folders) {
    const path = joined(half, name)
    const listing = await listImages(source, path)
    leftOut.add(listing)
    const { paths, ignored, unsupported } = listing
    if (paths.length === 0) {
      const kinds = unsupported.length > 0 ? `${countedEndings(unsupported)} among ` : ''
      throw new Error(
        `${source.describe(path)}: class must hold an image, got none (${kinds}${ignored} other files; images end in ` +
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
    const at = (positions: Int32Array): string[] =>
      Array.from(positions, position => paths[position] as string)
    return { train: at(train), test: at(test) }
  })
  return { train: halves.map(({ train }) => train), test: halves.map(({ test }) => test) }
}

/** The images of a half in their nested order: all of them, or as many as asked with the classes in balance. */
function half(
  source: DataSource,
  classNames: readonly string[],
  files: ClassFiles,
  requested: number | undefined,
  seed: number,
): CatalogHalf {
  if (requested !== undefined) checkEnough(classNames, files, requested)
  const paths = files.flat()
  const labels = Int32Array.from(files.flatMap((inClass, label) => inClass.map(() => label)))
  const order = nestedOrder({ labels, classNames, count: labels.length }, seed).subarray(0, requested)
  const path = (position: number): string => paths[order[position] as number] as string
  return {
    count: order.length,
    labels: order.map(index => labels[index] as number),
    name: position => source.describe(path(position)),
    path,
    encoded: position => source.read(path(position)),
  }
}

function checkEnough(classNames: readonly string[], files: ClassFiles, requested: number): void {
  for (const [label, paths] of files.entries()) {
    const share = Math.ceil((requested - label) / classNames.length)
    if (paths.length >= share) continue
    throw new RangeError(
      `image-folder: class ${label} "${classNames[label]}" must have ${share} images, got ${paths.length} ` +
        `(${requested} images of ${classNames.length} classes asked)`,
    )
  }
}
