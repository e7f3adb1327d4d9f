import { describe, expect, test } from 'vitest'
import { manifestText, type PreparedManifest, parseManifest } from '../../../src/data/prepared/manifest.js'

const sha256 = 'a'.repeat(64)
const half = (count: number) => ({
  count,
  classCounts: [count - 1, 1],
  groupCounts: [0, count],
  index: { file: 'i.safetensors', bytes: 10, sha256 },
  shards: [{ file: 's-00000-of-00001.tfrecord', records: count, bytes: 100, sha256 }],
  unreadable: [{ name: 'a.jpg', reason: 'cut short' }],
})
const content = {
  dataset: 'cifar10',
  options: { seed: 3, samples: 5, crop: 'none' },
  source: 'files',
  shape: [4, 4, 3],
  classNames: ['a', 'b'],
  groupNames: ['x', 'y'],
  train: half(5),
  test: half(2),
} as const

/** The manifest with a part replaced, as text. */
const textWith = (part: object) => JSON.stringify({ ...JSON.parse(manifestText(content)), ...part })

describe('parseManifest', () => {
  test('reads what was written', () => {
    expect(parseManifest(manifestText(content), 'm')).toEqual({
      format: 'patch-moe prepared images',
      version: 1,
      ...content,
    } satisfies PreparedManifest)
  })

  test('knows of boxes where there are some', () => {
    const boxed = { ...content, objectBoxes: true } as const
    expect(parseManifest(manifestText(boxed), 'm')).toMatchObject(boxed)
    expect(parseManifest(manifestText(content), 'm')).not.toHaveProperty('objectBoxes')
  })

  test.each([
    [{ version: 2 }, 'm: must be the manifest of prepared images, got version: '],
    [{ shape: [4, 0, 3] }, 'got shape.1: Too small'],
    [{ train: { ...half(5), shards: [] } }, 'got train.shards: Too small'],
    [
      { test: { ...half(2), index: { file: '../i', bytes: 10, sha256 } } },
      'got test.index.file: Invalid string',
    ],
    [{ objectBoxes: false }, 'got objectBoxes: Invalid input: expected true'],
    [{ other: 1 }, 'got the whole: Unrecognized key'],
    [
      { train: { ...half(5), classCounts: [1, 1] } },
      'm: train.classCounts must add up to its count 5, got 2',
    ],
    [
      { train: { ...half(5), groupCounts: [1, 5] } },
      'm: train.groupCounts must add up to its count 5, got 6',
    ],
    [
      { test: { ...half(2), shards: [{ ...half(1).shards[0], records: 3 }] } },
      'm: test.shards must add up to its count 2, got 3',
    ],
    [{ classNames: ['a'] }, 'm: classCounts must hold 1 numbers, got 2'],
    [{ groupNames: ['a', 'b', 'c'] }, 'm: groupCounts must hold 3 numbers, got 2'],
  ])('refuses %j', (part, message) => {
    expect(() => parseManifest(textWith(part), 'm')).toThrow(message)
  })

  test('refuses what is no JSON', () => {
    expect(() => parseManifest('{"a', 'm')).toThrow(/^m: must be JSON, got 3 characters that are not: /)
  })
})
