import { loadCatalog } from '../catalog-images.js'
import type { DataSource } from '../data-source.js'
import { cifar10Format } from '../formats/cifar.js'
import type { CatalogHalf, ImageCatalog } from '../image-catalog.js'
import { photoDecoding } from '../photo-decoding.js'
import { type Cell, selectCells } from './celeba/cells.js'
import { smilingTask } from './celeba/smiling.js'
import { faceCatalog } from './celeba/task.js'
import { checkSamples, type DatasetEntry, type DatasetOptions, testSeed } from './dataset.js'
import { positionExperts, sgd } from './dataset-recipe.js'
import { openTfdsFaces } from './tfds-faces.js'
import { hasTfds, openTfdsRecords, type TfdsRecords, tfdsFolder } from './tfds-records.js'

const defaultSamples = 50_000

/**
 * What TensorFlow Datasets has prepared: the record files of `cifar10` (ten classes), or of `celeb_a` (smiling or
 * not), as they are.
 */
export const tfds: DatasetEntry = {
  name: 'tfds',
  title: 'TensorFlow Datasets',
  source: 'folder',
  description: 'cifar10 or celeb_a (smiling or not) from the record files of TensorFlow Datasets.',
  licence: 'that of the dataset; not shipped',
  homepage: 'https://www.tensorflow.org/datasets',
  defaultSamples,
  settings: ['imageSize', 'crop'],
  format: {
    title: 'record files of TensorFlow Datasets',
    isIn: async source => (await hasTfds(source, 'cifar10')) || (await hasTfds(source, 'celeb_a')),
  },
  // CIFAR-10 or CelebA, whichever the folder holds.
  recipe: {
    suggested: 'wide',
    wide: { widenFactor: 2, mixture: positionExperts, training: sgd(10_000, 30, 64, 0.1) },
    twoLayer: { patchSize: 8, patches: 16, patchesPerExpert: 6, training: sgd(10_000, 25, 20, 0.05) },
  },
  catalog,
  async load(source, options) {
    return loadCatalog(tfds.name, await catalog(source, options), options)
  },
}

async function catalog(source: DataSource, options: DatasetOptions): Promise<ImageCatalog> {
  checkSamples(tfds.name, options)
  const folder = await tfdsFolder(source, 'cifar10')
  if (folder !== undefined) return cifarCatalog(source, folder, options)
  const faces = await openTfdsFaces(source, ['Smiling'])
  if (!faces) {
    throw new Error(
      `${source.describe('')}: folder must hold cifar10-train.tfrecord-00000-of-..., or the same of celeb_a, got neither`,
    )
  }
  const task = { ...smilingTask, name: tfds.name, defaultSamples }
  return faceCatalog(task, faces, options, photoDecoding(tfds.name, options))
}

async function cifarCatalog(
  source: DataSource,
  folder: string,
  options: DatasetOptions,
): Promise<ImageCatalog> {
  const { imageSize = [32, 32], samples, testSamples, seed } = options
  const decoding = photoDecoding(tfds.name, { ...options, imageSize })
  const open = (part: string) => openTfdsRecords(source, folder, `cifar10-${part}`, ['label'])
  const [train, test] = [await open('train'), await open('test')]
  return {
    train: selectedHalf(train, 'training', samples, seed),
    test: selectedHalf(test, 'test', testSamples, testSeed),
    classNames: cifar10Format.classNames,
    decoding,
  }
}

function selectedHalf(
  records: TfdsRecords<'label'>,
  half: 'training' | 'test',
  count: number | undefined,
  seed: number,
): CatalogHalf {
  const cells = classCells(records)
  const selected = selectCells({
    dataset: tfds.name,
    half,
    cells,
    turn: place => place % cells.length,
    count,
    most: defaultSamples,
    round: cells.length,
    seed,
  })
  const row = (position: number): number => selected.rows[position] as number
  return {
    count: selected.rows.length,
    labels: selected.cells,
    name: position => records.name(row(position)),
    encoded: position => records.image(row(position)),
  }
}

function classCells(records: TfdsRecords<'label'>): Cell[] {
  const rows = cifar10Format.classNames.map((): number[] => [])
  records.integers.label.forEach((label, row) => {
    const cell = rows[label]
    if (!cell) {
      throw new RangeError(
        `${records.name(row)}: feature label must be in [0, ${rows.length - 1}], got ${label}`,
      )
    }
    cell.push(row)
  })
  return cifar10Format.classNames.map((name, label) => ({
    name,
    rows: Int32Array.from(rows[label] as number[]),
  }))
}
