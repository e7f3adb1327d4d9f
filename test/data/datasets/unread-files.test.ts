import { describe, expect, it } from 'vitest'
import { cifar10 } from '../../../src/data/datasets/cifar10.js'
import { cifar100 } from '../../../src/data/datasets/cifar100.js'
import { unreadFiles } from '../../../src/data/datasets/unread-files.js'
import { memorySource } from '../memory-source.js'

const sourceOf = (...paths: string[]) =>
  memorySource(Object.fromEntries(paths.map(path => [path, new Uint8Array()])))

describe('unreadFiles', () => {
  it.each([
    [['cifar-10-batches-py/data_batch_1', 'cifar-10-batches-py/test_batch'], "CIFAR-10's Python version"],
    [['data_batch_1', 'batches.meta'], "CIFAR-10's Python version"],
    [
      ['a/cifar-100-python/train', 'a/cifar-100-python/test', 'a/cifar-100-python/meta'],
      "CIFAR-100's Python",
    ],
    [['cifar-10-batches-mat/data_batch_1.mat'], "CIFAR-10's MATLAB version"],
    [['cifar-100-matlab/train.mat', 'cifar-100-matlab/test.mat', 'cifar-100-matlab/meta.mat'], "CIFAR-100's"],
    [['mnist.npz'], 'a NumPy archive'],
    [['fashion-mnist_test.csv'], 'a table of pixels'],
    [['matlab/emnist-letters.mat'], 'a MATLAB file'],
  ])('names %j', async (paths, title) => {
    const text = await unreadFiles(sourceOf('readme.txt', ...paths))
    expect(text).toContain(`mem:${paths[0]}: ${title}`)
    expect(text).toMatch(/pmoe data fetch (cifar100?|mnist) --out DIR gets /)
  })

  it.each([
    [
      'cifar-10-binary.tar.gz',
      "the archive of CIFAR-10's binary version; pmoe data fetch cifar10 --from mem:FILE --out",
    ],
    ['Downloads/mnist.zip', 'a zip archive; --data mem:FILE reads it as a folder'],
    ['my photos.tar', 'a tar archive; tar -xf "mem:FILE" unpacks it'],
  ])('says what to do with %s', async (path, text) => {
    expect(await unreadFiles(sourceOf(path))).toContain(`mem:${path}: ${text.replace('FILE', path)}`)
  })

  it('says nothing of files that it does not know', async () => {
    expect(await unreadFiles(sourceOf('a.txt', 'train/1.jpg', 'test/1.jpg'))).toBe('')
  })
})

describe('CIFAR in another version', () => {
  it('is named, with what to do', async () => {
    const source = sourceOf('cifar-10-batches-py/data_batch_1', 'cifar-10-batches-py/test_batch')
    await expect(cifar10.load(source, { seed: 1 })).rejects.toThrow(
      /got no data_batch_1\.bin, .*test_batch\.bin \(mem:cifar-10-batches-py\/data_batch_1: CIFAR-10's Python version, which is not read; pmoe data fetch cifar10 --out DIR gets the binary version\)$/,
    )
    await expect(cifar100.load(sourceOf('cifar-100-python.tar.gz'), { seed: 1 })).rejects.toThrow(
      /got no train\.bin, test\.bin \(mem:cifar-100-python\.tar\.gz: the archive of CIFAR-100's Python or MATLAB version; pmoe data fetch cifar100 --out DIR gets the binary version\)$/,
    )
  })
})
