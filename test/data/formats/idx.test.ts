import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { gunzip } from '../../../src/data/formats/gzip.js'
import { loadIdx, readIdxImages, readIdxLabels } from '../../../src/data/formats/idx.js'
import { idxBytes, memorySource } from '../memory-source.js'

const images = idxBytes(0x803, [2, 1, 3], [10, 20, 30, 40, 50, 60])
const labels = idxBytes(0x801, [2], [1, 0])

describe('readIdxImages', () => {
  it('reads a worked example, also from the middle of a buffer', () => {
    const shifted = new Uint8Array(images.length + 3).subarray(3)
    shifted.set(images)
    expect(readIdxImages(shifted, 'i')).toEqual({
      images: Uint8Array.of(10, 20, 30, 40, 50, 60),
      count: 2,
      height: 1,
      width: 3,
    })
  })

  it('gives back what was written', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.uint8Array({ minLength: 1, maxLength: 9 }),
        (rows, row) => {
          const pixels = Array.from({ length: 2 * rows }, () => [...row]).flat()
          const read = readIdxImages(idxBytes(0x803, [2, rows, row.length], pixels), 'i')
          expect([read.count, read.height, read.width]).toEqual([2, rows, row.length])
          expect([...read.images]).toEqual(pixels)
        },
      ),
    )
  })

  it.each<[string, Uint8Array, string]>([
    ['a cut header', images.subarray(0, 15), 'i: header at byte 0 must take 16 bytes, got a file of 15'],
    ['labels', labels.slice(), 'i: header at byte 0 must take 16 bytes, got a file of 10'],
    [
      'another magic number',
      idxBytes(0x801, [20], Array(20).fill(0)),
      'i: magic number at byte 0 must be 0x00000803, got 0x00000801',
    ],
    [
      'no columns',
      idxBytes(0x803, [2, 3, 0], []),
      'i: number of columns at byte 12 must be at least 1, got 0',
    ],
    [
      'a cut file',
      images.subarray(0, 20),
      'i: file must end at byte 22, got 20 bytes (header states 2 images x 1 rows x 3 columns)',
    ],
    [
      'bytes too many',
      idxBytes(0x803, [1, 1, 3], [1, 2, 3, 4]),
      'i: file must end at byte 19, got 20 bytes (header states 1 images x 1 rows x 3 columns)',
    ],
    [
      'sizes beyond any memory',
      idxBytes(0x803, [0xffffffff, 65536, 1], []),
      'i: file must end at byte 281474976645136, got 16 bytes ' +
        '(header states 4294967295 images x 65536 rows x 1 columns)',
    ],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => readIdxImages(bytes, 'i')).toThrow(new RangeError(message))
  })
})

describe('readIdxLabels', () => {
  it('reads a worked example', () => {
    expect(readIdxLabels(labels, 'l')).toEqual(Uint8Array.of(1, 0))
  })

  it('refuses images and labels out of range', () => {
    expect(() => readIdxLabels(images, 'l')).toThrow(
      new RangeError('l: magic number at byte 0 must be 0x00000801, got 0x00000803'),
    )
    expect(() => readIdxLabels(idxBytes(0x801, [3], [9, 3, 10]), 'l', 10)).toThrow(
      new RangeError('l: label at byte 10 must be in [0, 9], got 10 (label 2)'),
    )
  })
})

describe('gunzip', () => {
  const data = Uint8Array.from({ length: 100_000 }, (_, i) => Math.imul(i, 2654435761) >>> 13)
  const gz = new Uint8Array(gzipSync(data))

  it('decompresses', async () => {
    expect(Buffer.compare(await gunzip(gz, 'x.gz'), data)).toBe(0)
  })

  it('names a file that ends early, wherever it ends', async () => {
    for (const length of [2, 10, gz.length >> 1, gz.length - 8, gz.length - 1]) {
      await expect(gunzip(gz.subarray(0, length), 'x.gz')).rejects.toThrow(
        `x.gz: gzip data must be whole, got unexpected end of file (file of ${length} bytes)`,
      )
    }
  })

  it('names a corrupt file and keeps the cause', async () => {
    const corrupt = gz.slice()
    corrupt[gz.length - 6] = (corrupt[gz.length - 6] as number) ^ 1
    const error: unknown = await gunzip(corrupt, 'x.gz').catch((thrown: unknown) => thrown)
    expect(error).toEqual(
      new Error(`x.gz: gzip data must be whole, got incorrect data check (file of ${gz.length} bytes)`),
    )
    expect((error as Error).cause).toBeInstanceOf(Error)
  })

  it('stops at the size that it is allowed', async () => {
    await expect(gunzip(gz, 'x.gz', 99_999)).rejects.toThrow(
      new RangeError(
        `x.gz: gzip data must decompress to at most 99999 bytes, got more (file of ${gz.length} bytes)`,
      ),
    )
    expect(await gunzip(gz, 'x.gz', 100_000)).toHaveLength(100_000)
  })
})

describe('loadIdx', () => {
  const names = ['no', 'yes']
  const expected = {
    images: Uint8Array.of(10, 20, 30, 40, 50, 60),
    labels: Int32Array.of(1, 0),
    count: 2,
    shape: [1, 3, 1],
    classNames: names,
  }

  it('reads plain, gzip, and gzip under the plain name', async () => {
    const plain = memorySource({ 'train-images-idx3-ubyte': images, 'train-labels-idx1-ubyte': labels })
    expect(await loadIdx(plain, 'train', names)).toEqual(expected)
    const zipped = memorySource({
      't10k-images-idx3-ubyte.gz': new Uint8Array(gzipSync(images)),
      't10k-labels-idx1-ubyte': new Uint8Array(gzipSync(labels)),
    })
    expect(await loadIdx(zipped, 't10k', names)).toEqual(expected)
  })

  it('names missing files, early ends, wrong counts and wrong labels', async () => {
    const load = (files: Record<string, Uint8Array>) =>
      loadIdx(memorySource({ 'train-images-idx3-ubyte': images, ...files }), 'train', names)
    await expect(load({})).rejects.toThrow(
      new Error(
        'mem:train-labels-idx1-ubyte: file must be there, plain or .gz, got neither (found train-images-idx3-ubyte)',
      ),
    )
    const cut = new Uint8Array(gzipSync(labels)).subarray(0, 15)
    await expect(load({ 'train-labels-idx1-ubyte.gz': cut })).rejects.toThrow(
      'mem:train-labels-idx1-ubyte.gz: gzip data must be whole, got unexpected end of file (file of 15 bytes)',
    )
    await expect(load({ 'train-labels-idx1-ubyte': idxBytes(0x801, [3], [0, 1, 1]) })).rejects.toThrow(
      new RangeError(
        'mem:train-labels-idx1-ubyte: number of labels at byte 4 must be 2, ' +
          'as mem:train-images-idx3-ubyte has images, got 3',
      ),
    )
    await expect(load({ 'train-labels-idx1-ubyte': idxBytes(0x801, [2], [0, 2]) })).rejects.toThrow(
      new RangeError('mem:train-labels-idx1-ubyte: label at byte 9 must be in [0, 1], got 2 (label 1)'),
    )
  })
})
