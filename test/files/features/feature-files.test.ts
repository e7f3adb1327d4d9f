import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { featureFiles } from '../../../src/files/features/feature-files.js'

let root = ''
let folders = 0
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'pmoe-feature-files-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))
const newFolder = () => join(root, String(folders++))

const layout = { count: 4, size: 3 }
async function* rows(batch = 2, offset = 0) {
  for (let first = 0; first < 4; first += batch) {
    yield Float32Array.from({ length: 3 * batch }, (_, i) => offset + 10 * first + i)
  }
}
const keyOf = (...pieces: (string | Uint8Array)[]) =>
  featureFiles(root).key(
    (async function* () {
      yield* pieces
    })(),
  )
/** Features that can be stored. */
async function opened(folder: string, key: string, compute: () => AsyncIterable<Float32Array> = rows) {
  const stored = await featureFiles(folder).open(key, layout, compute)
  if ('reason' in stored) throw new Error(stored.reason)
  return stored
}

const never = () => {
  throw new Error('must not be computed')
}

it('gives lists of pieces keys of their own, wherever their borders are', async () => {
  const bytes = (text: string) => new TextEncoder().encode(text)
  const keys = [await keyOf('ab', 'c'), await keyOf('a', 'bc'), await keyOf('abc'), await keyOf()]
  expect(new Set(keys).size).toBe(4)
  expect(await keyOf('ab', bytes('c'))).toBe(keys[0])
})

it('computes features once and reads any of them', async () => {
  const folder = newFolder()
  const key = await keyOf('network', 'images')
  const made = await opened(folder, key)
  expect([made.isNew, made.bytes]).toEqual([true, 48])
  await made.close()
  const found = await opened(folder, key, never)
  expect(found.isNew).toBe(false)
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 9 }), async positions => {
      const values = await found.read(Int32Array.from(positions))
      const expected = positions.flatMap(at => [0, 1, 2].map(i => 10 * (at - (at % 2)) + 3 * (at % 2) + i))
      expect([...values]).toEqual(expected)
    }),
  )
  await found.close()
})

it.each([
  ['a flipped bit', (path: string) => flip(path, 9), /sha256 must be \w+…, got \w+… \(the file is damaged\)/],
  ['another hash', (path: string) => flip(path, 60), /sha256 must be/],
  ['a file that was cut off', (path: string) => truncate(path, 41), /file must have 80 bytes, got 41/],
  ['an empty file', (path: string) => writeFile(path, ''), /file must have 80 bytes, got 0/],
])('computes features again where there is %s, and says so', async (_, damage, remark) => {
  const folder = newFolder()
  const key = await keyOf('damaged')
  const path = join(folder, `${key}.features`)
  await (await opened(folder, key)).close()
  const before = await readFile(path)
  await damage(path)
  const again = await opened(folder, key)
  expect([again.isNew, again.remark]).toEqual([true, expect.stringMatching(remark)])
  await again.close()
  expect(await readFile(path)).toEqual(before)
})

async function flip(path: string, at: number): Promise<void> {
  const bytes = await readFile(path)
  bytes[at] = (bytes[at] as number) ^ 1
  await writeFile(path, bytes)
}

it('stores nothing where computing fails or gives another number of features', async () => {
  const folder = newFolder()
  const reason = new RangeError('no memory')
  const failing = async function* () {
    yield* rows(4)
    throw reason
  }
  await expect(featureFiles(folder).open('a', layout, failing)).rejects.toBe(reason)
  await expect(featureFiles(folder).open('a', { count: 5, size: 3 }, rows)).rejects.toThrow(
    'a.features: features must take 60 bytes (5 images of 3 numbers), got 48',
  )
  expect(await readdir(folder)).toEqual([])
})

it('deletes what is no longer used, in a folder of its own alone, and no files of others', async () => {
  const folder = newFolder()
  const [first, second] = [await keyOf('first'), await keyOf('second')]
  const shared = featureFiles(folder)
  for (const key of [first, second]) await (await opened(folder, key)).close()
  await writeFile(join(folder, 'notes.txt'), 'mine')
  await shared.removeUnused()
  expect(await readdir(folder)).toHaveLength(3)
  const own = featureFiles(folder, { isShared: false })
  const stored = await own.open(second, layout, never)
  if ('close' in stored) await stored.close()
  await own.removeUnused()
  expect((await readdir(folder)).sort()).toEqual([`${second}.features`, 'notes.txt'].sort())
  // Nothing is there before the first features.
  await featureFiles(newFolder(), { isShared: false }).removeUnused()
  expect((await stat(folder)).isDirectory()).toBe(true)
})

it('says why features cannot be kept: no room, a file in the way', async () => {
  const folder = newFolder()
  const reasonOf = async (at: string, large: typeof layout) => {
    const stored = await featureFiles(at).open('a', large, rows)
    return 'reason' in stored ? stored.reason : undefined
  }
  expect(await reasonOf(folder, { count: 1e9, size: 1e6 })).toMatch(
    /^their features would take 4000000000 MB, more than half of the \d+ MB that are free in .*$/,
  )
  await writeFile(join(folder, 'file'), '')
  expect(await reasonOf(join(folder, 'file', 'kept'), layout)).toMatch(/ENOTDIR|EEXIST|not a directory/)
})
