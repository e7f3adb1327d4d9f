import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { findIdx, hasIdx } from '../../../src/data/datasets/idx-files.js'
import { loadIdx } from '../../../src/data/formats/idx.js'
import { idxBytes, memorySource } from '../memory-source.js'

const nothing = new Uint8Array()
const sourceOf = (paths: readonly string[]) =>
  memorySource(Object.fromEntries(paths.map(path => [path, nothing])))
/** The four files under names made of a half, a kind and the number of axes. */
const four = (name: (half: string, kind: string, axes: number) => string, test = 't10k') =>
  ['train', test].flatMap(half => [name(half, 'images', 3), name(half, 'labels', 1)])

describe('findIdx', () => {
  it.each<[string, readonly string[]]>([
    ['the usual names', four((half, kind, axes) => `${half}-${kind}-idx${axes}-ubyte`)],
    ['compressed files', four((half, kind, axes) => `${half}-${kind}-idx${axes}-ubyte.gz`)],
    ['a dot, as Windows unpacks', four((half, kind, axes) => `${half}-${kind}.idx${axes}-ubyte`)],
    ['a dot, compressed', four((half, kind, axes) => `${half}-${kind}.idx${axes}-ubyte.gz`)],
    ['capitals', four((half, kind, axes) => `${half}-${kind}-idx${axes}-ubyte`.toUpperCase())],
    ['underscores', four((half, kind, axes) => `${half}_${kind}_idx${axes}_ubyte`)],
    ['EMNIST', four((half, kind, axes) => `emnist-letters-${half}-${kind}-idx${axes}-ubyte.gz`, 'test')],
    ['torchvision', four((half, kind, axes) => `MNIST/raw/${half}-${kind}-idx${axes}-ubyte`)],
    [
      'a folder for each file',
      four((half, kind, axes) => {
        const name = `${half}-${kind}-idx${axes}-ubyte`
        return `${name}/${name}`
      }),
    ],
    [
      'a folder of a compressed name for each file, further down',
      four((half, kind, axes) => {
        const name = `${half}-${kind}-idx${axes}-ubyte`
        return `archive/data/${name}.gz/${name}`
      }),
    ],
  ])('finds %s', async (_, paths) => {
    const source = sourceOf(['notes.txt', ...paths])
    expect(await hasIdx(source)).toBe(true)
    expect(await findIdx(source, 'train')).toEqual({ images: paths[0], labels: paths[1] })
    expect(await findIdx(source, 't10k')).toEqual({ images: paths[2], labels: paths[3] })
  })

  it('takes the plain file where it is there twice, and the dataset that lies least deep', async () => {
    const raw = four((half, kind, axes) => `MNIST/raw/${half}-${kind}-idx${axes}-ubyte`)
    const twice = sourceOf([...raw, ...raw.map(path => `${path}.gz`)])
    expect((await findIdx(twice, 'train')).images).toBe('MNIST/raw/train-images-idx3-ubyte')
    const kaggle = four((half, kind, axes) => `${half}-${kind}.idx${axes}-ubyte`)
    const both = sourceOf([...kaggle, ...raw])
    expect((await findIdx(both, 't10k')).labels).toBe('t10k-labels.idx1-ubyte')
  })

  it('finds halves that have folders of their own', async () => {
    const paths = four((half, kind, axes) => `${half}/${half}-${kind}-idx${axes}-ubyte`)
    expect((await findIdx(sourceOf(paths), 't10k')).images).toBe('t10k/t10k-images-idx3-ubyte')
  })

  it('names several datasets that lie equally deep', async () => {
    const paths = ['letters', 'digits'].flatMap(set =>
      four((half, kind, axes) => `raw/emnist-${set}-${half}-${kind}-idx${axes}-ubyte`, 'test'),
    )
    await expect(findIdx(sourceOf(paths), 'train')).rejects.toThrow(
      new Error(
        'mem:: folder must hold one IDX dataset, got raw/emnist-digits, raw/emnist-letters ' +
          '(name the folder of one of them, or give its four files a folder of their own)',
      ),
    )
    expect(await hasIdx(sourceOf(paths))).toBe(true)
  })

  it('names the file that is missing where the others are', async () => {
    const [images, labels, testImages] = four(
      (half, kind, axes) => `raw/emnist-mnist-${half}-${kind}-idx${axes}-ubyte`,
      'test',
    ) as [string, string, string]
    const source = sourceOf([images, labels, testImages])
    expect((await findIdx(source, 'train')).labels).toBe(labels)
    await expect(findIdx(source, 't10k')).rejects.toThrow(
      new Error(
        'mem:raw/emnist-mnist-t10k-labels-idx1-ubyte: file must be there, plain or .gz, got neither ' +
          `(found ${testImages}, ${images}, ${labels})`,
      ),
    )
  })

  it('does not take labels of two axes, or images of one, for files of these kinds', async () => {
    const paths = ['train-images-idx3-ubyte', 'train-labels-idx2-int', 'train-labels-idx3-ubyte']
    await expect(findIdx(sourceOf(paths), 'train')).rejects.toThrow('mem:train-labels-idx1-ubyte: file must')
  })

  it('says what other files of the dataset are', async () => {
    await expect(findIdx(sourceOf(['mnist_train.csv', 'a.txt']), 'train')).rejects.toThrow(
      new Error(
        'mem:train-images-idx3-ubyte: file must be there, plain or .gz, got neither (mem:mnist_train.csv: a ' +
          'table of pixels, which is not read; pmoe data fetch mnist --out DIR gets the IDX files of MNIST, ' +
          'pmoe data fetch fashion-mnist --out DIR gets those of Fashion-MNIST)',
      ),
    )
  })
})

it('loads images from files that were found', async () => {
  const images = gzipSync(idxBytes(0x803, [2, 1, 2], [1, 2, 3, 4]))
  const labels = idxBytes(0x801, [2], [1, 0])
  const source = memorySource({
    'raw/test-images.idx3-ubyte.gz': new Uint8Array(images),
    'raw/test-labels.idx1-ubyte': labels,
  })
  expect(await loadIdx(source, 't10k', ['a', 'b'])).toMatchObject({
    images: Uint8Array.of(1, 2, 3, 4),
    labels: Int32Array.of(1, 0),
    shape: [1, 2, 1],
  })
})
