import { expect, test } from 'vitest'
import { writeSafetensors } from '../../../src/data/formats/safetensors.js'
import { readIndex, writeIndex } from '../../../src/data/prepared/index-file.js'

const index = {
  labels: Int32Array.of(0, 1, 0),
  groups: Int32Array.of(2, 2, 0),
  trueCell: Int32Array.of(3, 0, 1),
  objectBox: Int32Array.of(0, 16, 16, 16, /**/ 3, 2, 16, 16, /**/ 5, 0, 16, 16),
  offsets: Float64Array.of(0, 2 ** 40, 2 ** 40 + 7),
}

test('an index is read as it was written', () => {
  expect(readIndex(writeIndex(index), 'i', 3)).toEqual(index)
  const { labels, offsets } = index
  expect(readIndex(writeIndex({ labels, offsets }), 'i', 3)).toEqual({ labels, offsets })
})

test('an index of another number, with a part missing or of another type is refused', () => {
  expect(() => readIndex(writeIndex(index), 'i', 4)).toThrow('i: offsets must be of 4 records, got 3')
  const floats = { dtype: 'F64', shape: [1], data: Float64Array.of(0) } as const
  const integers = { dtype: 'I32', shape: [1], data: Int32Array.of(0) } as const
  const reading = (tensors: Parameters<typeof writeSafetensors>[0]) => () =>
    readIndex(writeSafetensors(tensors), 'i', 1)
  expect(reading(new Map([['offsets', floats]]))).toThrow('i: labels must be of 1 records, got nothing')
  expect(reading(new Map([['offsets', integers]]))).toThrow('i: offsets must be of type F64, got I32')
  expect(reading(new Map(Object.entries({ offsets: floats, labels: floats })))).toThrow(
    'i: labels must be of type I32, got F64',
  )
  const flat = { dtype: 'I32', shape: [4], data: Int32Array.of(0, 0, 1, 1) } as const
  expect(reading(new Map(Object.entries({ offsets: floats, labels: integers, objectBox: flat })))).toThrow(
    'i: objectBox must be of 1 records with 4 numbers each, got 4',
  )
})
