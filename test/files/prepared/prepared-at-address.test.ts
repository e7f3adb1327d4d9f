import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { ImageBatch, ImageSet } from '../../../src/data/image-set.js'
import type { ImageStream } from '../../../src/data/image-stream.js'
import { dataFolder } from '../../../src/files/data-folder.js'
import { prepareDataset } from '../../../src/files/prepared/prepare.js'
import {
  isPrepared,
  openPrepared,
  openPreparedRegions,
  readManifest,
} from '../../../src/files/prepared/prepared-set.js'
import { verifyFolder } from '../../../src/files/prepared/verify.js'
import { collect } from '../../data/regions/collect.js'
import { numberedCatalog } from '../prepare-catalog.js'
import { type ObjectServer, serveObjects } from '../storage/object-server.js'
import { zipBytes } from '../zip-bytes.js'

const bytesOf = (text: string) => new TextEncoder().encode(text)

let root: string
let folder: string
let address: string
let server: ObjectServer
let caches = 0

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'prepared-at-address-'))
  folder = join(root, 'p')
  const { entry, source, decode } = numberedCatalog(230, 30)
  await prepareDataset({
    entry,
    source,
    decode,
    options: { seed: 1 },
    directory: folder,
    recordsPerShard: 50,
  })
  const zip = zipBytes([{ name: 'faces/1.txt', data: bytesOf('one') }])
  server = await serveObjects({ 'faces.zip': zip, 'd/in.zip': zip })
  address = `${server.address}/data/p`
})
beforeEach(async () => {
  server.behaviour.marks = 'etag'
  vi.stubEnv('PMOE_CACHE', join(root, `cache-${caches++}`))
  for (const name of await readdir(folder)) {
    server.objects.set(`data/p/${name}`, new Uint8Array(await readFile(join(folder, name))))
  }
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await server.close()
  await rm(root, { recursive: true })
})

const pass = { batchSize: 32, shuffle: { seed: 8, epoch: 3 } }
const imagesOf = (batches: readonly ImageBatch[]) => batches.map(({ images }) => images)

describe('a prepared folder at an address', () => {
  test('is what the folder is, in memory, as a stream, ahead in a thread, and in parts', async () => {
    expect(await isPrepared(address)).toBe(true)
    expect(await isPrepared(`${server.address}/data`)).toBe(false)
    expect(await readManifest(address)).toEqual(await readManifest(folder))
    const local = await openPrepared(folder)
    expect((await openPrepared(address)).train).toEqual(local.train)
    const limits = { memoryLimit: 30 * 12, shuffleWindow: 100 }
    const here = await openPrepared(folder, { ...limits, prefetch: 0 })
    const expected = await collect((here.train as ImageStream).batches(pass))
    for (const prefetch of [0, 2]) {
      const { train } = await openPrepared(address, { ...limits, prefetch })
      expect(imagesOf(await collect((train as ImageStream).batches(pass)))).toEqual(imagesOf(expected))
    }
    const { test: regions } = await openPreparedRegions(address)
    const [batch] = await collect(regions.batches({ batchSize: 30 }))
    expect(await batch?.sources[7]?.view(1)).toEqual((local.test as ImageSet).images.slice(84, 96))
  })

  test('is read once, also by a second process', async () => {
    const stored = (await readManifest(folder)).train.shards.reduce((sum, { bytes }) => sum + bytes, 0)
    const before = server.sent()
    await openPrepared(address)
    const first = server.sent() - before
    expect(first).toBeGreaterThan(stored)
    await openPrepared(address)
    expect(server.sent() - before).toBe(first)
  })

  test('is verified from its server, byte by byte, also where the cache has it', async () => {
    await openPrepared(address)
    const whole = await verifyFolder(address)
    expect([whole.prepared, whole.files.filter(({ problem }) => problem)]).toEqual([true, []])
    const name = 'train-00002-of-00005.tfrecord'
    const shard = server.objects.get(`data/p/${name}`)?.slice() as Uint8Array
    shard[90] = (shard[90] as number) ^ 1
    server.objects.set(`data/p/${name}`, shard)
    // A mark that stays the same, as dates do within a second, does not hide it.
    server.behaviour.marks = 'date'
    const damaged = (await verifyFolder(address)).files.filter(({ problem }) => problem)
    expect(damaged.map(({ file }) => file)).toEqual([name])
    expect(damaged[0]?.problem).toMatch(
      new RegExp(`^${address}/${name}: data of record 0 at byte 0 must have the checksum`),
    )
  })

  test.each([
    ['cut short', (bytes: Uint8Array) => bytes.subarray(0, 1000), /must be \d+ bytes long, got 1000/],
    ['missing', () => undefined, /must be readable, got nothing there/],
  ])('names a file that is %s', async (_, change, message) => {
    const path = 'data/p/train-00001-of-00005.tfrecord'
    const changed = change(server.objects.get(path) as Uint8Array)
    if (changed) server.objects.set(path, changed)
    else server.objects.delete(path)
    await expect(openPrepared(address)).rejects.toThrow(message)
    await expect(openPrepared(address)).rejects.toThrow(`${server.address}/${path}: `)
  })

  test('names an index that is not the one of the manifest, and a manifest that is damaged', async () => {
    const index = server.objects.get('data/p/train.index.safetensors')?.slice() as Uint8Array
    index[index.length - 1] = (index.at(-1) as number) ^ 1
    server.objects.set('data/p/train.index.safetensors', index)
    await expect(openPrepared(address)).rejects.toThrow(
      `${address}/train.index.safetensors: index must have the sha256`,
    )
    server.objects.set('data/p/manifest.json', bytesOf('<html>'))
    await expect(openPrepared(address)).rejects.toThrow(
      `${address}/manifest.json: must be JSON, got 6 characters`,
    )
  })
})

test('looks into zip archives at an address and in a folder there', async () => {
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
  const archive = dataFolder(`${server.address}/faces.zip`)
  expect(await archive.list('faces')).toEqual(['1.txt'])
  expect(text(await archive.read('faces/1.txt'))).toBe('one')
  expect(archive.describe('faces/1.txt')).toBe(`${server.address}/faces.zip/faces/1.txt`)
  const inside = dataFolder(`${server.address}/d`)
  expect(text(await inside.read('in.zip/faces/1.txt'))).toBe('one')
  expect(await inside.list('in.zip')).toEqual(['faces/'])
  await expect(dataFolder(`${server.address}/none.zip`).list('')).rejects.toThrow(
    `${server.address}/none.zip: must be readable, got nothing there`,
  )
})
