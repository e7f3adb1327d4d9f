/**
 * Tells by their files which datasets a source can be.
 */
import { findCeleba } from './celeba-layout.js'
import { cifar10Format } from './cifar.js'
import type { DataSource } from './data-source.js'
import { findLayout, halfOf } from './folder-halves.js'
import { folderContent, joined, listFolders } from './image-listing.js'
import { tfdsFolder } from './tfds-records.js'

/** A format on the disk, and what can be trained from it. */
export interface DataFormat {
  readonly title: string
  /** Names of the datasets that read it. */
  readonly datasets: readonly string[]
  /** Name for `pmoe data fetch`, where it can be downloaded. */
  readonly published?: string
  /** Whether a source has it; looks at names alone. */
  isIn(source: DataSource): Promise<boolean>
}

/** Every format that a dataset reads. */
export const dataFormats: readonly DataFormat[] = [
  {
    title: 'CIFAR-10, binary version',
    datasets: ['cifar10', 'cifar-vehicles', 'cifar10-noise'],
    published: 'cifar10',
    isIn: inFolder(cifar10Format.folder, [...cifar10Format.trainFiles, ...cifar10Format.testFiles]),
  },
  {
    title: 'CIFAR-100, binary version',
    datasets: ['cifar100', 'cifar100-coarse'],
    published: 'cifar100',
    isIn: inFolder('cifar-100-binary', ['train.bin', 'test.bin']),
  },
  {
    title: 'IDX files of digits',
    datasets: ['mnist-patches', 'digits-patches'],
    published: 'mnist',
    isIn: hasIdx,
  },
  {
    title: 'IDX files of Fashion-MNIST',
    datasets: ['fashion-mnist', 'fashion-quadrants', 'fashion-noise'],
    published: 'fashion-mnist',
    isIn: hasIdx,
  },
  {
    title: 'CelebA',
    datasets: ['celeba-smiling', 'celeba-spurious', 'celeba-multiclass'],
    isIn: async source => (await hasCeleba(source)) || (await hasTfds(source, 'celeb_a')),
  },
  {
    title: 'record files of TensorFlow Datasets',
    datasets: ['tfds'],
    isIn: async source => (await hasTfds(source, 'cifar10')) || (await hasTfds(source, 'celeb_a')),
  },
  { title: 'folders of images, one a class', datasets: ['image-folder'], isIn: hasImageFolders },
]

/** The formats that a source has; more than one where their files have the same names. */
export async function recognise(source: DataSource): Promise<DataFormat[]> {
  const found: DataFormat[] = []
  for (const format of dataFormats) if (await format.isIn(source)) found.push(format)
  return found
}

/** Whether all files are there, in the source or in a folder of it. */
function inFolder(folder: string, files: readonly string[]): DataFormat['isIn'] {
  return async source => {
    for (const prefix of ['', `${folder}/`]) {
      const there = await Promise.all(files.map(file => source.exists(prefix + file)))
      if (there.every(Boolean)) return true
    }
    return false
  }
}

async function hasIdx(source: DataSource): Promise<boolean> {
  const names = ['train', 't10k'].flatMap(half => [`${half}-images-idx3-ubyte`, `${half}-labels-idx1-ubyte`])
  for (const name of names) {
    if (!(await source.exists(name)) && !(await source.exists(`${name}.gz`))) return false
  }
  return true
}

async function hasCeleba(source: DataSource): Promise<boolean> {
  return findCeleba(source).then(
    () => true,
    () => false,
  )
}

async function hasTfds(source: DataSource, dataset: string): Promise<boolean> {
  return (await tfdsFolder(source, dataset).catch(() => undefined)) !== undefined
}

/** Looks into the folders of the classes, not into the folders in these: a home directory would take for ever. */
async function hasImageFolders(source: DataSource): Promise<boolean> {
  // What cannot be told apart, or read, is for the dataset to say.
  const layout = await findLayout(source).catch(() => undefined)
  const above = layout?.halves.train ?? ''
  const classes = await listFolders(source, above).catch((): string[] => [])
  let withImages = 0
  for (const name of classes) {
    const content = await folderContent(source, joined(above, name)).catch(() => undefined)
    if (!content || content.images.length > 0) withImages++
    if (withImages === 2) return true
  }
  return layout === undefined && classes.some(name => halfOf(name) !== undefined)
}
