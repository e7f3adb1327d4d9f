import { describe, expect, it } from 'vitest'
import { datasets } from '../../../src/data/datasets/datasets.js'
import { publishedDatasets } from '../../../src/data/datasets/downloads.js'
import { recognise } from '../../../src/data/datasets/recognise.js'
import { cifar10Files } from '../cifar-files.js'
import { memorySource } from '../memory-source.js'

const nothing = new Uint8Array()
const found = async (...paths: string[]) =>
  (await recognise(memorySource(Object.fromEntries(paths.map(path => [path, nothing]))))).map(
    ({ title }) => title,
  )

describe('recognise', () => {
  it.each(['', 'cifar-10-batches-bin/'])('knows CIFAR-10, whole, in folder %j', async prefix => {
    const files = cifar10Files(1, prefix)
    expect((await recognise(memorySource(files))).map(({ datasets }) => datasets)).toEqual([
      ['cifar10', 'cifar-vehicles', 'cifar10-noise', 'cifar10-rotated'],
    ])
    expect(await found(...Object.keys(files).slice(1))).toEqual([])
  })

  it('knows CIFAR-100', async () => {
    expect(await found('cifar-100-binary/train.bin', 'cifar-100-binary/test.bin')).toEqual([
      'CIFAR-100, binary version',
    ])
  })

  it('knows IDX files, plain and compressed, which can be two things', async () => {
    const idx = ['train-images-idx3-ubyte.gz', 'train-labels-idx1-ubyte']
    const test = ['t10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte.gz']
    expect(await found(...idx, ...test)).toEqual(['IDX files of digits', 'IDX files of Fashion-MNIST'])
    expect(await found(...idx)).toEqual([])
  })

  it('names first what is read as it is, and made for a folder', async () => {
    const names = ['train-images-idx3', 'train-labels-idx1', 't10k-images-idx3', 't10k-labels-idx1']
    const source = memorySource(Object.fromEntries(names.map(name => [`${name}-ubyte`, nothing])))
    expect((await recognise(source)).map(format => format.datasets)).toEqual([
      ['mnist-patches', 'digits-patches', 'megapixel-digits'],
      ['fashion-mnist', 'fashion-quadrants', 'fashion-noise', 'fashion-rotated', 'megapixel-fashion'],
    ])
  })

  it('knows CIFAR and IDX files in deeper folders', async () => {
    const cifar = Object.keys(cifar10Files(1, 'download/cifar-10-binary/cifar-10-batches-bin/'))
    expect(await found(...cifar)).toEqual(['CIFAR-10, binary version'])
    const idx = ['train-images', 't10k-images'].map(name => `MNIST/raw/${name}-idx3-ubyte`)
    const labels = ['train-labels', 't10k-labels'].map(name => `MNIST/raw/${name}.idx1-ubyte`)
    expect(await found(...idx, ...labels)).toEqual(['IDX files of digits', 'IDX files of Fashion-MNIST'])
  })

  it('knows CelebA, its tables and images, and what TensorFlow Datasets makes of it', async () => {
    const tables = ['list_attr_celeba.txt', 'list_eval_partition.txt']
    expect(await found(...tables, 'img_align_celeba/000001.jpg')).toEqual(['CelebA'])
    expect(await found(...tables)).toEqual([])
    expect(await found('celeb_a/2.1.0/celeb_a-train.tfrecord-00000-of-00001')).toEqual([
      'CelebA',
      'record files of TensorFlow Datasets',
    ])
  })

  it('knows folders of images where two have some, also in train/', async () => {
    const title = 'folders of images, one a class'
    expect(await found('cat/1.jpg', 'dog/a.PNG', 'notes.txt')).toEqual([title])
    expect(await found('train/cat/1.jpg', 'train/dog/1.jpeg', 'test/cat/1.jpg')).toEqual([title])
    expect(await found('cat/1.jpg', 'dog/readme.txt')).toEqual([])
    expect(await found('1.jpg', '2.jpg')).toEqual([])
  })
})

it('every dataset of files is read from a format, and every published one is known', () => {
  for (const { name, source, format } of datasets)
    expect(format === undefined, name).toBe(source === 'generated')
  const names = new Set(datasets.flatMap(({ format }) => format?.published ?? []))
  expect([...names].sort()).toEqual(publishedDatasets.map(({ name }) => name).sort())
  for (const published of publishedDatasets) {
    const trained = datasets.find(({ name }) => name === published.trains)
    expect(trained?.format?.published).toBe(published.name)
  }
})
