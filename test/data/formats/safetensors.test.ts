import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  readSafetensors,
  type StoredTensor,
  writeSafetensors,
} from '../../../src/data/formats/safetensors.js'

const float32 = (shape: number[], ...data: number[]): StoredTensor => ({
  dtype: 'F32',
  shape,
  data: Float32Array.from(data),
})

/** A file of the given header text and data bytes, with a right header length unless told otherwise. */
function fileOf(header: string, data: readonly number[] = [], headerLength?: number): Uint8Array {
  const text = new TextEncoder().encode(header)
  const bytes = new Uint8Array(8 + text.length + data.length)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerLength ?? text.length), true)
  bytes.set(text, 8)
  bytes.set(data, 8 + text.length)
  return bytes
}

const entry = (dtype: string, shape: number[], begin: number, end: number): string =>
  JSON.stringify({ dtype, shape, data_offsets: [begin, end] })

describe('writeSafetensors', () => {
  it('lays out a worked example byte by byte', () => {
    const bytes = writeSafetensors([
      ['a', { dtype: 'U8', shape: [1], data: Uint8Array.of(7) }],
      ['b', float32([], 1)],
    ])
    // The float goes first, so that it is aligned: 1.0 = 00 00 80 3f.
    const header =
      '{"a":{"dtype":"U8","shape":[1],"data_offsets":[4,5]},"b":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}'
    const padded = header.padEnd(Math.ceil(header.length / 8) * 8)
    expect(bytes).toEqual(fileOf(padded, [0, 0, 0x80, 0x3f, 7]))
  })

  it('refuses shapes, arrays and names that do not fit', () => {
    expect(() => writeSafetensors([['w', float32([2, 2], 1, 2, 3)]])).toThrow(
      new RangeError('writeSafetensors: shape of "w" must hold 3 elements, got [2, 2]'),
    )
    expect(() => writeSafetensors([['__metadata__', float32([1], 1)]])).toThrow(
      new RangeError("writeSafetensors: a tensor's name must differ from __metadata__, got __metadata__"),
    )
    const disguised = { dtype: 'I32', shape: [1], data: Float32Array.of(1) } as unknown as StoredTensor
    expect(() => writeSafetensors([['w', disguised]])).toThrow(
      new TypeError('writeSafetensors: data of "w" must be the typed array of I32, got Float32Array'),
    )
  })
})

describe('round trip', () => {
  const shape = fc.array(fc.nat(4), { maxLength: 3 })
  const count = (sides: number[]): number => sides.reduce((product, side) => product * side, 1)
  const tensor = fc.oneof(
    shape.chain(sides =>
      fc
        .float32Array({ minLength: count(sides), maxLength: count(sides) })
        .map((data): StoredTensor => ({ dtype: 'F32', shape: sides, data })),
    ),
    shape.chain(sides =>
      fc
        .float64Array({ minLength: count(sides), maxLength: count(sides) })
        .map((data): StoredTensor => ({ dtype: 'F64', shape: sides, data })),
    ),
    shape.chain(sides =>
      fc
        .int32Array({ minLength: count(sides), maxLength: count(sides) })
        .map((data): StoredTensor => ({ dtype: 'I32', shape: sides, data })),
    ),
    shape.chain(sides =>
      fc
        .bigInt64Array({ minLength: count(sides), maxLength: count(sides) })
        .map((data): StoredTensor => ({ dtype: 'I64', shape: sides, data })),
    ),
    shape.chain(sides =>
      fc
        .uint8Array({ minLength: count(sides), maxLength: count(sides) })
        .map((data): StoredTensor => ({ dtype: 'U8', shape: sides, data })),
    ),
  )
  const name = fc.string().filter(text => text !== '__metadata__')

  it('gives back every tensor and text, from any byte offset', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(name, tensor), { maxLength: 5 }),
        fc.dictionary(fc.string(), fc.string()),
        fc.nat(7),
        (list, metadata, shift) => {
          const tensors = new Map(list)
          const written = writeSafetensors(tensors, metadata)
          const shifted = new Uint8Array(written.length + shift).subarray(shift)
          shifted.set(written)
          const content = readSafetensors(shifted, 'x.safetensors')
          expect(content.tensors).toEqual(tensors)
          expect(content.metadata).toEqual(metadata)
        },
      ),
    )
  })

  it('copies, also out of a Node buffer', () => {
    const bytes = Buffer.from(writeSafetensors([['w', float32([2], 1.5, -2)]]))
    const { tensors } = readSafetensors(bytes, 'x.safetensors')
    bytes.fill(0)
    expect(tensors.get('w')).toEqual(float32([2], 1.5, -2))
    expect(tensors.get('w')?.data.buffer.byteLength).toBe(8)
  })
})

describe('readSafetensors', () => {
  it('reads files written by the reference implementation', () => {
    const folder = new URL('../../goldens/', import.meta.url)
    const files = readdirSync(folder).filter(file => /^(gate|two_layer)_.*\.safetensors$/.test(file))
    expect(files).toHaveLength(5)
    for (const file of files) {
      const bytes = readFileSync(new URL(file, folder))
      const { tensors } = readSafetensors(bytes, file)
      const router = tensors.get('router') as StoredTensor
      expect(router.dtype).toBe('F32')
      expect(tensors.get('drouter')?.shape).toEqual(router.shape)
      // The header of these files puts the data of the last tensor at their very end.
      const x = tensors.get('x') as StoredTensor
      const last = [...tensors.values()].at(-1) as StoredTensor
      expect(last.data.at(-1)).toBe(bytes.readFloatLE(bytes.length - 4))
      expect((x.data as Float32Array).every(Number.isFinite)).toBe(true)
    }
  })

  it('widens narrower types, exactly, wherever their bytes lie', () => {
    const read = (dtype: string, count: number, data: number[]): StoredTensor | undefined => {
      // One byte before it, so that nothing is aligned.
      const header = `{"a":${entry('U8', [1], 0, 1)},"w":${entry(dtype, [count], 1, 1 + data.length)}}`
      return readSafetensors(fileOf(header, [9, ...data]), 'x').tensors.get('w')
    }
    // Bits, from the lower byte: sign 1, exponent 5 or 8, fraction 10 or 7.
    expect(read('F16', 5, [0, 0x3c, 0, 0xc0, 1, 0, 0xff, 0x7b, 0, 0xfc])).toEqual(
      float32([5], 1, -2, 2 ** -24, 65504, -Infinity),
    )
    expect(read('BF16', 4, [0x80, 0x3f, 0x49, 0xc0, 1, 0, 0x80, 0x7f])).toEqual(
      float32([4], 1, -3.140625, 2 ** -133, Infinity),
    )
    expect(read('I8', 2, [0x80, 0x7f])).toEqual({ dtype: 'I32', shape: [2], data: Int32Array.of(-128, 127) })
    expect(read('I16', 2, [0, 0x80, 1, 0])).toEqual({
      dtype: 'I32',
      shape: [2],
      data: Int32Array.of(-32768, 1),
    })
    expect(read('U16', 1, [0xff, 0xff])).toEqual({ dtype: 'I32', shape: [1], data: Int32Array.of(65535) })
    expect(read('U32', 1, [0xff, 0xff, 0xff, 0xff])).toEqual({
      dtype: 'I64',
      shape: [1],
      data: BigInt64Array.of(2n ** 32n - 1n),
    })
    expect(read('BOOL', 2, [1, 0])).toEqual({ dtype: 'U8', shape: [2], data: Uint8Array.of(1, 0) })
    expect(read('BF16', 0, [])).toEqual(float32([0]))
  })

  const data4 = [0, 0, 128, 63]
  it.each<[string, Uint8Array, string]>([
    [
      'a file shorter than its length field',
      Uint8Array.of(1, 2, 3),
      'bad.st: header length at byte 0 must take 8 bytes, got a file of 3',
    ],
    [
      'a header longer than the file',
      fileOf('{}', [], 3),
      'bad.st: header length at byte 0 must be in [2, 2], got 3 (file of 10 bytes)',
    ],
    [
      'an empty header',
      fileOf('{}', [], 0),
      'bad.st: header length at byte 0 must be in [2, 2], got 0 (file of 10 bytes)',
    ],
    ['a header of another kind', fileOf('[]'), 'bad.st: header at byte 8 must be a JSON object, got []'],
    [
      'an unknown dtype',
      fileOf(`{"w":${entry('F8_E4M3', [4], 0, 4)}}`, data4),
      'bad.st: tensor "w" must have a dtype of F32, F64, I32, I64, U8, F16, BF16, I8, I16, U16, U32, BOOL, got "F8_E4M3"',
    ],
    [
      'a dtype that is a name of JavaScript',
      fileOf(`{"w":${entry('constructor', [4], 0, 4)}}`, data4),
      'bad.st: tensor "w" must have a dtype of F32, F64, I32, I64, U8, F16, BF16, I8, I16, U16, U32, BOOL, got "constructor"',
    ],
    [
      'halves that take the bytes of whole numbers',
      fileOf(`{"w":${entry('BF16', [1], 0, 4)}}`, data4),
      'bad.st: tensor "w" must take 2 bytes (BF16 of shape [1]), got 4',
    ],
    [
      'a negative side',
      fileOf(`{"w":${entry('F32', [-1], 0, 4)}}`, data4),
      'bad.st: tensor "w" must have a shape of integers of at least 0, got [-1]',
    ],
    [
      'an entry that is a number',
      fileOf('{"w":5}'),
      'bad.st: tensor "w" must be an object of dtype, shape and data_offsets, got 5',
    ],
    [
      'one offset',
      fileOf('{"w":{"dtype":"U8","shape":[4],"data_offsets":[4]}}', data4),
      'bad.st: tensor "w" must have data_offsets [begin, end], got [4]',
    ],
    [
      'data cut short',
      fileOf(`{"w":${entry('F32', [1], 0, 4)}}`, [1, 2, 3]),
      'bad.st: tensor "w" must have data_offsets in order and within the 3 bytes of data, got [0,4]',
    ],
    [
      'a shape that disagrees with its bytes',
      fileOf(`{"w":${entry('F32', [2, 3], 0, 4)}}`, data4),
      'bad.st: tensor "w" must take 24 bytes (F32 of shape [2, 3]), got 4',
    ],
    [
      'a shape beyond any memory',
      fileOf(`{"w":${entry('F32', [2 ** 50, 2 ** 50], 0, 4)}}`, data4),
      `bad.st: tensor "w" must take ${4 * 2 ** 100} bytes (F32 of shape [${2 ** 50}, ${2 ** 50}]), got 4`,
    ],
    [
      'metadata that are not texts',
      fileOf('{"__metadata__":{"epoch":3}}'),
      'bad.st: __metadata__ must map names to texts, got {"epoch":3}',
    ],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => readSafetensors(bytes, 'bad.st')).toThrow(new RangeError(message))
  })

  it('refuses overlaps, holes and data that no tensor owns, with byte offsets', () => {
    const pair = (first: string, second: string): Uint8Array =>
      fileOf(`{"a":${first},"b":${second}}`.padEnd(128), [1, 2, 3, 4, 5, 6, 7, 8])
    // Data start at byte 8 + 128 = 136.
    expect(() => readSafetensors(pair(entry('U8', [4], 0, 4), entry('U8', [5], 3, 8)), 'bad.st')).toThrow(
      new RangeError('bad.st: tensor "b" must start at byte 140, where tensor "a" ends, got byte 139'),
    )
    expect(() => readSafetensors(pair(entry('U8', [3], 0, 3), entry('U8', [4], 4, 8)), 'bad.st')).toThrow(
      new RangeError('bad.st: tensor "b" must start at byte 139, where tensor "a" ends, got byte 140'),
    )
    expect(() => readSafetensors(pair(entry('U8', [3], 0, 3), entry('U8', [4], 3, 7)), 'bad.st')).toThrow(
      new RangeError('bad.st: file must end at byte 143, where tensor "b" ends, got 144 bytes'),
    )
    expect(() => readSafetensors(fileOf('{}', [1]), 'bad.st')).toThrow(
      new RangeError('bad.st: file must end at byte 10, where the header ends, got 11 bytes'),
    )
  })

  it('refuses a header that is not JSON, and keeps the cause', () => {
    const read = (bytes: Uint8Array): unknown => {
      try {
        return readSafetensors(bytes, 'bad.st')
      } catch (error) {
        return error
      }
    }
    const notJson = read(fileOf('{"w":'))
    expect(notJson).toEqual(
      new Error('bad.st: header at bytes 8 to 13 must be JSON in UTF-8, got other bytes'),
    )
    expect((notJson as Error).cause).toBeInstanceOf(SyntaxError)
    const notText = fileOf('{}')
    notText[8] = 0xff
    expect((read(notText) as Error).cause).toBeInstanceOf(TypeError)
  })
})
