/**
 * Where the datasets that may be downloaded are published, and how to tell that a download is the right one.
 */
import { cifar10Format } from '../formats/cifar.js'

/** A dataset that its authors publish as a few files. */
export interface PublishedDataset {
  /** Name on the command line. */
  readonly name: string
  readonly title: string
  readonly licence: string
  readonly homepage: string
  /** Name of a dataset that can be trained from these files. */
  readonly trains: string
  /** Addresses of folders that have the files, each ending in `/`; tried in this order. */
  readonly sources: readonly string[]
  readonly files: readonly PublishedFile[]
}

/** One file as it is published. */
export interface PublishedFile {
  readonly name: string
  /** MD5 of the file, hexadecimal, where every publisher has the same bytes. */
  readonly md5?: string
  /** Longest accepted length of the file, in bytes. */
  readonly atMost: number
  readonly content: PublishedContent
}

/** What is in a published file. */
export type PublishedContent =
  | PublishedArchive
  | { readonly kind: 'idx-images'; readonly count: number; readonly height: number; readonly width: number }
  | { readonly kind: 'idx-labels'; readonly count: number; readonly numClasses: number }

/** A gzip-compressed tar archive of one folder. */
export interface PublishedArchive {
  readonly kind: 'tar'
  readonly folder: string
  /** The files that the folder must have, and their lengths in bytes; it may have others. */
  readonly files: Readonly<Record<string, number>>
}

const cifarHome = {
  homepage: 'https://www.cs.toronto.edu/~kriz/cifar.html',
  licence: 'not stated by its authors',
}
const cifarSources = ['https://www.cs.toronto.edu/~kriz/']
const cifar10Files = [...cifar10Format.trainFiles, ...cifar10Format.testFiles]

const cifar10: PublishedDataset = {
  name: 'cifar10',
  trains: 'cifar10',
  title: 'CIFAR-10, binary version',
  ...cifarHome,
  sources: cifarSources,
  files: [
    {
      name: 'cifar-10-binary.tar.gz',
      md5: 'c32a1d4ab5d03f1284b67883e8d87530',
      atMost: 200e6,
      content: {
        kind: 'tar',
        folder: cifar10Format.folder,
        files: Object.fromEntries(cifar10Files.map(file => [file, 10_000 * 3073])),
      },
    },
  ],
}

const cifar100: PublishedDataset = {
  name: 'cifar100',
  trains: 'cifar100',
  title: 'CIFAR-100, binary version',
  ...cifarHome,
  sources: cifarSources,
  files: [
    {
      name: 'cifar-100-binary.tar.gz',
      md5: '03b5dce01913d631647c71ecec9e9cb8',
      atMost: 200e6,
      content: {
        kind: 'tar',
        folder: 'cifar-100-binary',
        files: { 'train.bin': 50_000 * 3074, 'test.bin': 10_000 * 3074 },
      },
    },
  ],
}

/** The four files of MNIST, which Fashion-MNIST took over; publishers compress them differently, so that no MD5 holds. */
const mnistFiles: readonly PublishedFile[] = [
  { half: 'train', count: 60_000 },
  { half: 't10k', count: 10_000 },
].flatMap(({ half, count }): PublishedFile[] => [
  {
    name: `${half}-images-idx3-ubyte.gz`,
    atMost: 50e6,
    content: { kind: 'idx-images', count, height: 28, width: 28 },
  },
  {
    name: `${half}-labels-idx1-ubyte.gz`,
    atMost: 1e6,
    content: { kind: 'idx-labels', count, numClasses: 10 },
  },
])

const mnist: PublishedDataset = {
  name: 'mnist',
  trains: 'mnist-patches',
  title: 'MNIST',
  licence: 'CC BY-SA 3.0',
  homepage: 'http://yann.lecun.com/exdb/mnist/',
  sources: [
    'https://storage.googleapis.com/cvdf-datasets/mnist/',
    'https://ossci-datasets.s3.amazonaws.com/mnist/',
  ],
  files: mnistFiles,
}

const fashionMnist: PublishedDataset = {
  name: 'fashion-mnist',
  trains: 'fashion-quadrants',
  title: 'Fashion-MNIST',
  licence: 'MIT',
  homepage: 'https://github.com/zalandoresearch/fashion-mnist',
  sources: [
    'http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/',
    'https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/',
  ],
  files: mnistFiles,
}

/** Every dataset that `pmoe data fetch` knows. */
export const publishedDatasets: readonly PublishedDataset[] = [cifar10, cifar100, mnist, fashionMnist]
