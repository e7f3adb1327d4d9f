import { loadCatalog } from '../../catalog-images.js'
import type { DataSource } from '../../data-source.js'
import type { CatalogHalf, ImageCatalog } from '../../image-catalog.js'
import { photoDecoding } from '../../photo-decoding.js'
import {
  checkSamples,
  type DatasetEntry,
  type DatasetOptions,
  type FolderFormat,
  testSeed,
} from '../dataset.js'
import { type DatasetRecipe, faceExperts, sgd } from '../dataset-recipe.js'
import { openTfdsFaces } from '../tfds-faces.js'
import { hasTfds } from '../tfds-records.js'
import { celebaParts, type FaceImages, openCeleba } from './celeba.js'
import { type Cell, type Selected, selectCells } from './cells.js'
import { hasCeleba } from './layout.js'

/** What a cell of a task holds: a class, or a class with an attribute that is not to be recognised. */
export interface TaskCell<Attribute extends string> {
  /** As reports and errors name it: `Smiling with Black_Hair`. */
  readonly name: string
  /** Number of its class. */
  readonly label: number
  /** The attributes that its images have (1) and have not (-1). */
  readonly has: Readonly<Partial<Record<Attribute, 1 | -1>>>
}

/** A classification of faces by their attributes. */
export interface FaceTask<Attribute extends string> {
  readonly name: string
  readonly title: string
  readonly description: string
  readonly defaultSamples: number
  readonly recipe: DatasetRecipe
  readonly classNames: readonly string[]
  readonly cells: readonly TaskCell<Attribute>[]
  /** Whether accuracy is reported for each cell besides the classes. */
  readonly cellsAreGroups: boolean
  /** The cell of the training image at a place of the order. */
  trainTurn(place: number): number
}

/** CelebA's tables and images, or what TensorFlow Datasets makes of them. */
const celebaFaces: FolderFormat = {
  title: 'CelebA',
  isIn: async source => (await hasCeleba(source)) || (await hasTfds(source, 'celeb_a')),
}

/** The recipe of a task on faces of 64x64 pixels, with so many training images. */
export function faceRecipe({
  samples,
  oneLogit,
}: {
  readonly samples: number
  readonly oneLogit: boolean
}): DatasetRecipe {
  return {
    suggested: 'wide',
    wide: { widenFactor: 2, mixture: faceExperts, training: sgd(samples, 30, 64, 0.1) },
    twoLayer: {
      patchSize: 16,
      patches: 16,
      patchesPerExpert: 6,
      oneLogit,
      training: sgd(samples, 25, 20, 0.05),
    },
  }
}

/**
 * A dataset of CelebA's images: training images from its training part, test images from its test part, equally many
 * of each cell.
 */
export function faceDataset<Attribute extends string>(task: FaceTask<Attribute>): DatasetEntry {
  const catalog = async (source: DataSource, options: DatasetOptions): Promise<ImageCatalog> => {
    checkSamples(task.name, options)
    const decoding = photoDecoding(task.name, options)
    return faceCatalog(task, await openFaces(source, attributesOf(task)), options, decoding)
  }
  return {
    name: task.name,
    title: task.title,
    source: 'folder',
    description: task.description,
    licence: 'non-commercial research only; not shipped',
    homepage: 'https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html',
    defaultSamples: task.defaultSamples,
    settings: ['imageSize', 'crop'],
    format: celebaFaces,
    recipe: task.recipe,
    catalog,
    async load(source, options) {
      return loadCatalog(task.name, await catalog(source, options), options)
    },
  }
}

/**
 * The labelled images of a task.
 *
 * @throws RangeError naming the cell that has too few images
 */
export function faceCatalog<Attribute extends string>(
  task: FaceTask<Attribute>,
  faces: FaceImages<Attribute>,
  options: DatasetOptions,
  decoding: ImageCatalog['decoding'],
): ImageCatalog {
  const { name: dataset, cells } = task
  const train = selectCells({
    dataset,
    half: 'training',
    cells: cellsOf(task, faces, celebaParts.train),
    turn: place => task.trainTurn(place),
    count: options.samples,
    most: task.defaultSamples,
    round: task.classNames.length,
    seed: options.seed,
  })
  const test = selectCells({
    dataset,
    half: 'test',
    cells: cellsOf(task, faces, celebaParts.test),
    turn: place => place % cells.length,
    count: options.testSamples,
    most: Number.POSITIVE_INFINITY,
    round: cells.length,
    seed: testSeed,
  })
  return {
    train: halfOf(task, faces, train),
    test: halfOf(task, faces, test),
    classNames: task.classNames,
    ...(task.cellsAreGroups && { groupNames: cells.map(({ name }) => name) }),
    decoding,
  }
}

async function openFaces<Attribute extends string>(
  source: DataSource,
  attributes: readonly Attribute[],
): Promise<FaceImages<Attribute>> {
  return (await openTfdsFaces(source, attributes)) ?? openCeleba(source, attributes)
}

function attributesOf<Attribute extends string>({ cells }: FaceTask<Attribute>): Attribute[] {
  return [...new Set(cells.flatMap(({ has }) => Object.keys(has) as Attribute[]))]
}

function cellsOf<Attribute extends string>(
  { cells }: FaceTask<Attribute>,
  faces: FaceImages<Attribute>,
  part: number,
): Cell[] {
  return cells.map(({ name, has }) => {
    const required = Object.entries(has) as [Attribute, 1 | -1][]
    const rows: number[] = []
    for (let row = 0; row < faces.count; row++) {
      if (faces.parts[row] !== part) continue
      if (required.every(([attribute, value]) => faces.attributes[attribute][row] === value)) rows.push(row)
    }
    return { name, rows: Int32Array.from(rows) }
  })
}

function halfOf<Attribute extends string>(
  { cells, cellsAreGroups }: FaceTask<Attribute>,
  faces: FaceImages<Attribute>,
  { rows, cells: numbers }: Selected,
): CatalogHalf {
  const row = (position: number): number => rows[position] as number
  return {
    count: rows.length,
    labels: numbers.map(cell => (cells[cell] as TaskCell<Attribute>).label),
    ...(cellsAreGroups && { groups: numbers }),
    name: position => faces.name(row(position)),
    encoded: position => faces.encoded(row(position)),
  }
}
