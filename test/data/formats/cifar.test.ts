import { describe, expect, it } from 'vitest'
import { type CifarFormat, cifar10Format, loadCifar, readCifar } from '../../../src/data/formats/cifar.js'
import { cifar10Files, cifarRecords } from '../cifar-files.js'
import { memorySource } from '../memory-source.js'

const cifar100Format: CifarFormat = {
  labels: [
    { name: 'coarse label', numClasses: 20 },
    { name: 'fine label', numClasses: 100 },
  ],
  target: 1,
  classNames: Array.from({ length: 100 }, (_, i) => `class ${i}`),
  folder: 'cifar-100-binary',
  trainFiles: ['train.bin'],
  testFiles: ['test.bin'],
}

describe('readCifar', () => {
  it('interleaves the planes of every record', () => {
    const bytes = cifarRecords([[3], [9]], 1)
    const set = readCifar([{ name: 'b', bytes }], cifar10Format)
    expect([...set.labels]).toEqual([3, 9])
    expect(set.classNames[9]).toBe('truck')
    expect(set.shape).toEqual([32, 32, 3])
    for (const [image, y, x, c] of [
      [0, 0, 0, 0],
      [0, 0, 1, 0],
      [0, 31, 31, 2],
      [1, 5, 7, 1],
    ] as const) {
      // A record is a label and the planes red, green, blue, each 32 rows of 32.
      const inRecord = 1 + c * 1024 + y * 32 + x
      expect(set.images[((image * 32 + y) * 32 + x) * 3 + c]).toBe(bytes[image * 3073 + inRecord])
    }
  })

  it('joins files in their order', () => {
    const [first, second] = [cifarRecords([[0], [1]], 1), cifarRecords([[2]], 2)]
    const set = readCifar(
      [
        { name: 'a', bytes: first },
        { name: 'b', bytes: second },
      ],
      cifar10Format,
    )
    expect([...set.labels]).toEqual([0, 1, 2])
    expect(set.images[2 * 3072]).toBe(second[1])
    expect(set.images.at(-1)).toBe(second.at(-1))
  })

  it('reads records with a coarse and a fine label', () => {
    const bytes = cifarRecords([[19, 99]], 3)
    const set = readCifar([{ name: 'train.bin', bytes }], cifar100Format)
    expect([...set.labels]).toEqual([99])
    expect([...set.images.subarray(0, 3)]).toEqual([bytes[2], bytes[2 + 1024], bytes[2 + 2048]])
    expect(() =>
      readCifar([{ name: 'train.bin', bytes: cifarRecords([[20, 0]], 3) }], cifar100Format),
    ).toThrow(new RangeError('train.bin: coarse label at byte 0 must be in [0, 19], got 20 (record 0)'))
  })

  it('refuses cut files, empty files and labels out of range', () => {
    const bytes = cifarRecords([[0], [1]], 1)
    const read = (part: Uint8Array) => () => readCifar([{ name: 'b.bin', bytes: part }], cifar10Format)
    expect(read(bytes.subarray(0, 5000))).toThrow(
      new RangeError(
        'b.bin: file must hold whole records of 3073 bytes, got 5000 bytes ' +
          '(1 records, then 1927 bytes from byte 3073)',
      ),
    )
    expect(read(new Uint8Array(0))).toThrow(
      new RangeError(
        'b.bin: file must hold whole records of 3073 bytes, got 0 bytes (0 records, then 0 bytes from byte 0)',
      ),
    )
    bytes[3073] = 10
    expect(read(bytes)).toThrow(
      new RangeError('b.bin: label at byte 3073 must be in [0, 9], got 10 (record 1)'),
    )
  })
})

describe('loadCifar', () => {
  it('finds the files in the folder itself or in the one below', async () => {
    const direct = await loadCifar(memorySource(cifar10Files(2)), cifar10Format)
    expect([direct.train.count, direct.test.count]).toEqual([10, 2])
    const above = await loadCifar(memorySource(cifar10Files(2, 'cifar-10-batches-bin/')), cifar10Format)
    expect(Buffer.compare(above.train.images, direct.train.images)).toBe(0)
    expect(above.train.labels).toEqual(direct.train.labels)
    expect(Buffer.compare(above.test.images, direct.test.images)).toBe(0)
  })

  it('names what is missing and what is damaged', async () => {
    const { 'data_batch_3.bin': third, ...rest } = cifar10Files(1)
    await expect(loadCifar(memorySource(rest), cifar10Format)).rejects.toThrow(
      new Error('mem:: folder must hold the binary version of cifar-10-batches-bin, got no data_batch_3.bin'),
    )
    const cut = { ...rest, 'data_batch_3.bin': (third as Uint8Array).subarray(0, 3072) }
    await expect(loadCifar(memorySource(cut), cifar10Format)).rejects.toThrow(
      new RangeError(
        'mem:data_batch_3.bin: file must hold whole records of 3073 bytes, got 3072 bytes ' +
          '(0 records, then 3072 bytes from byte 0)',
      ),
    )
  })
})
