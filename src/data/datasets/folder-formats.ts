/**
 * Formats of folders that several datasets read.
 */
import type { DataSource } from '../data-source.js'
import { type CifarFormat, cifar10Format, findCifar } from '../formats/cifar.js'
import type { FolderFormat } from './dataset.js'
import { hasIdx } from './idx-files.js'

export const cifar10Binary: FolderFormat = {
  title: 'CIFAR-10, binary version',
  published: 'cifar10',
  isIn: source => hasCifar(source, cifar10Format),
}

export const digitsIdx: FolderFormat = { title: 'IDX files of digits', published: 'mnist', isIn: hasIdx }

export const fashionIdx: FolderFormat = {
  title: 'IDX files of Fashion-MNIST',
  published: 'fashion-mnist',
  isIn: hasIdx,
}

/** Whether a source holds all files of a CIFAR dataset; looks at names alone. */
export async function hasCifar(source: DataSource, format: CifarFormat): Promise<boolean> {
  return (await findCifar(source, format)).missing.length === 0
}
