import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { Example } from 'tfrecord'
import { describe, expect, test } from 'vitest'
import { decodeExample } from '../../../src/data/formats/example.js'
import { splitRecords } from '../../../src/data/formats/tfrecord.js'

const written = new Uint8Array(
  readFileSync(fileURLToPath(new URL('../tensorflow-records.tfrecord', import.meta.url))),
)
const [numbers, image, empty] = splitRecords(written, { name: 'a', first: 0, offset: 0 }) as [
  Uint8Array,
  Uint8Array,
  Uint8Array,
]

describe('an Example that TensorFlow wrote', () => {
  test('has numbers, texts and names of all kinds', () => {
    const example = decodeExample(numbers, 'a')
    expect([...example.keys()].sort()).toEqual(['Größe', 'none', 'share', 'text'])
    expect(example.get('Größe')).toEqual({
      kind: 'integers',
      values: [0, 1, 127, 128, 300, -1, 2 ** 53 - 1, 1 - 2 ** 53],
    })
    expect(example.get('share')).toEqual({ kind: 'floats', values: [0.5, -2.25, Math.fround(1e30)] })
    expect(example.get('none')).toEqual({ kind: 'integers', values: [] })
    const texts = example.get('text')?.values as Uint8Array[]
    expect(texts.map(text => new TextDecoder().decode(text))).toEqual(['Grüße', ''])
  })

  test('has an image', () => {
    const example = decodeExample(image, 'a')
    expect(example.get('label')).toEqual({ kind: 'integers', values: [7] })
    expect(example.get('image')?.values[0]).toEqual(Uint8Array.from({ length: 12 }, (_, i) => i))
  })

  test('may be empty', () => {
    expect(decodeExample(empty, 'a').size).toBe(0)
  })
})

test('reads what the schema of the package writes', () => {
  const value = fc.oneof(
    fc.array(fc.integer()).map(values => ['int64List', 'integers', values] as const),
    fc.array(fc.float({ noNaN: true })).map(values => ['floatList', 'floats', values] as const),
    fc.array(fc.uint8Array({ maxLength: 300 })).map(values => ['bytesList', 'bytes', values] as const),
  )
  fc.assert(
    fc.property(fc.dictionary(fc.string({ unit: 'grapheme', maxLength: 200 }), value), features => {
      const feature = Object.fromEntries(
        Object.entries(features).map(([key, [list, , values]]) => [key, { [list]: { value: values } }]),
      )
      const bytes = Uint8Array.from(Example.encode({ features: { feature } }).finish())
      const decoded = decodeExample(bytes, 'a')
      expect(decoded.size).toBe(Object.keys(features).length)
      for (const [key, [, kind, values]] of Object.entries(features)) {
        expect(decoded.get(key)).toEqual({ kind, values })
      }
    }),
    { numRuns: 50 },
  )
})

/** A length-delimited field. */
const field = (number: number, ...inner: number[]) => [(number << 3) | 2, inner.length, ...inner]
const exampleOf = (...feature: number[]) =>
  Uint8Array.from(field(1, ...field(1, ...field(1, 97), ...field(2, ...feature))))

test('reads numbers that are not packed, and passes over fields that it does not know', () => {
  // Int64List with 5 and 6 one by one, then an unknown varint, 64-bit and 32-bit field.
  const bytes = exampleOf(...field(3, 8, 5, 8, 6, 0x50, 1, 0x51, 1, 2, 3, 4, 5, 6, 7, 8, 0x55, 1, 2, 3, 4))
  expect(decodeExample(bytes, 'a').get('a')).toEqual({ kind: 'integers', values: [5, 6] })
  const floats = exampleOf(...field(2, 0x0d, 0, 0, 0, 0x3f))
  expect(decodeExample(floats, 'a').get('a')).toEqual({ kind: 'floats', values: [0.5] })
})

test('reads integers of all 64 bits, as bigint those that a number does not hold', () => {
  const values = [2n ** 53n, -(2n ** 53n), 2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n - 1n]
  const varint = (value: bigint): number[] =>
    value < 128n ? [Number(value)] : [Number(value & 127n) | 128, ...varint(value >> 7n)]
  const packed = values.flatMap(value => varint(BigInt.asUintN(64, value)))
  expect(decodeExample(exampleOf(...field(3, ...field(1, ...packed))), 'a').get('a')).toEqual({
    kind: 'integers',
    values: [...values.slice(0, 4), 2 ** 53 - 1],
  })
  // Such an integer in a field that is passed over is no reason to refuse the others.
  const unknown = exampleOf(...field(3, 8, 5, 0x50, ...varint(2n ** 64n - 1n)))
  expect(decodeExample(unknown, 'a').get('a')).toEqual({ kind: 'integers', values: [5] })
})

describe('refuses', () => {
  const at = (bytes: Uint8Array) => () => decodeExample(bytes, 'f: record 3')
  const wrong = 'f: record 3: data must be a tf.train.Example, got'

  test('every beginning of an Example that is cut off', () => {
    for (let length = 1; length < image.length; length++) expect(at(image.slice(0, length))).toThrow(wrong)
  })

  test.each([
    [
      'a length beyond the end',
      Uint8Array.of(10, 9, 0),
      '9 where a length of at most 1 belongs (byte 1 of 3)',
    ],
    [
      'a wire type that is none',
      Uint8Array.of(0x0f),
      'wire type 7 where a field of protocol buffers belongs (byte 0 of 1)',
    ],
    [
      'an integer without end',
      new Uint8Array(20).fill(255),
      'more where an integer below 2^53 belongs (byte 0 of 20)',
    ],
    [
      'a packed list that ends within a number',
      exampleOf(...field(3, ...field(1, 5, 128))),
      'the end of the data where a 64-bit integer belongs',
    ],
    [
      'a list of floats that ends within one',
      exampleOf(...field(2, ...field(1, 0, 0))),
      'the end of the data where a float belongs',
    ],
  ])('%s', (_, bytes, message) => {
    expect(at(bytes)).toThrow(`${wrong} ${message}`)
  })

  test('random bytes by an error of its own, or not at all', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), bytes => {
        try {
          decodeExample(bytes, 'a')
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError)
        }
      }),
    )
  })
})
