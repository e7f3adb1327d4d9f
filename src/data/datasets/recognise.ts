/**
 * Tells by their files which datasets a source can be.
 */

import type { DataSource } from '../data-source.js'
import { type CifarFormat, cifar10Format, findCifar } from '../formats/cifar.js'
import { findCeleba } from './celeba/layout.js'
import { cifar100Format } from './cifar100.js'
import { hasIdx } from './idx-files.js'
import { findLayout, halfOf } from './image-folder/folder-halves.js'
import { folderContent, joined, listFolders } from './image-folder/image-listing.js'
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
    isIn: source => hasCifar(source, cifar10Format),
  },
  {
    title: 'CIFAR-100, binary version',
    datasets: ['cifar100', 'cifar100-coarse'],
    published: 'cifar100',
    isIn: source => hasCifar(source, cifar100Format),
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
  const once = listedOnce(source)
  const found: DataFormat[] = []
  for (const format of dataFormats) if (await format.isIn(once)) found.push(format)
  return found
}

/** The same source, whose folders are listed once however many formats look into them. */
function listedOnce(source: DataSource): DataSource {
  const listed = new Map<string, Promise<readonly string[]>>()
  return {
    ...source,
    list(folder) {
      const names = listed.get(folder) ?? source.list(folder)
      listed.set(folder, names)
      return names
    },
  }
}

async function hasCifar(source: DataSource, format: CifarFormat): Promise<boolean> {
  return (await findCifar(source, format)).missing.length === 0
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
