import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { remoteFolder } from '../../../src/files/storage/remote-folder.js'
import { blockBytes } from '../../../src/files/storage/remote-object.js'
import { type StorageOptions, storageOptions } from '../../../src/files/storage/storage-options.js'
import { random } from '../../../src/random.js'
import { breakOff, type ObjectServer, serveObjects, tagOf } from './object-server.js'

let root: string
let caches = 0
let server: ObjectServer
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'storage-'))
})
afterEach(() => server.close())
afterAll(() => rm(root, { recursive: true }))

const newCache = () => join(root, `cache-${caches++}`)
const retrying = { retries: 3, waitMs: 1, idleMs: 2000 }
const optionsWith = (cache: string, changes: Partial<StorageOptions> = {}): StorageOptions => ({
  ...storageOptions({}),
  cache,
  retrying,
  ...changes,
})

function bytesOf(length: number, seed = 1): Uint8Array {
  const chance = random(seed)
  return Uint8Array.from({ length }, () => chance.below(256))
}

const large = bytesOf(3 * blockBytes + 1234)
const small = bytesOf(100, 2)

describe('remoteFolder', () => {
  test('reads any part of any object, each byte once, and again from the cache', async () => {
    server = await serveObjects({ 'd/large.bin': large, 'd/a b#c?.bin': small, 'd/empty': new Uint8Array() })
    const cache = newCache()
    const folder = remoteFolder(`${server.address}/d/`, optionsWith(cache))
    const file = await folder.open('large.bin')
    expect(file.length).toBe(large.length)
    const place = fc.nat(large.length + 100)
    await fc.assert(
      fc.asyncProperty(place, place, async (a, b) => {
        const [start, end] = [Math.min(a, b), Math.max(a, b)]
        expect(Buffer.compare(await file.slice(start, end), large.subarray(start, end))).toBe(0)
      }),
      { numRuns: 60 },
    )
    expect(server.sent()).toBe(large.length)
    expect(await folder.read('a b#c?.bin')).toEqual(small)
    expect(await folder.read('empty')).toEqual(new Uint8Array())
    // Another process: one request says that the version is the same, and everything is there.
    const before = [server.asked.length, server.sent()]
    const again = remoteFolder(`${server.address}/d`, optionsWith(cache))
    expect(Buffer.compare(await again.read('large.bin'), large)).toBe(0)
    expect([server.asked.length, server.sent()]).toEqual([(before[0] as number) + 1, before[1]])
  })

  test('tells what is there, and names what is not', async () => {
    server = await serveObjects({ 'd/small': small })
    const folder = remoteFolder(`${server.address}/d`, optionsWith(newCache()))
    expect(await folder.exists('small')).toBe(true)
    expect(await folder.exists('none')).toBe(false)
    expect(folder.describe('small')).toBe(`${server.address}/d/small`)
    await expect(folder.read('none')).rejects.toThrow(
      new RegExp(`^${server.address}/d/none: must be readable, got nothing there$`),
    )
    await expect(folder.list('')).rejects.toThrow(
      `${server.address}/d: address must be that of a prepared folder (with manifest.json), of a zip archive, or s3://, ` +
        'got a folder whose files cannot be listed',
    )
    for (const path of ['../secret', 'a/../../secret', '/secret']) {
      expect(() => folder.describe(path)).toThrow(
        `remoteFolder: path must stay inside ${server.address}/d, got ${path}`,
      )
    }
    // What comes later is found.
    server.objects.set('d/none', small)
    expect(await folder.exists('none')).toBe(true)
  })

  test('goes on after errors that pass, and after broken connections where they broke off', async () => {
    const ranges: string[] = []
    server = await serveObjects({ large })
    const folder = remoteFolder(server.address, optionsWith(newCache()))
    await folder.open('large')
    let failures = 0
    server.behaviour.answer = ({ range = '' }, response) => {
      ranges.push(range)
      failures++
      const from = Number(/\d+/.exec(range)?.[0])
      if (failures === 1) response.writeHead(503, { 'retry-after': '0' }).end('busy')
      else if (failures === 2) response.destroy()
      else if (failures === 3) response.writeHead(429).end()
      else if (failures < 7) return breakOff(response, large, { from, count: 1000 })
      else return false
      return true
    }
    expect(Buffer.compare(await folder.read('large'), large)).toBe(0)
    const last = large.length - 1
    const from = (byte: number) => `bytes=${byte}-${last}`
    expect(ranges).toEqual([
      ...Array.from({ length: 4 }, () => from(blockBytes)),
      ...[1000, 2000, 3000].map(more => from(blockBytes + more)),
    ])
  })

  test('gives up after its retries, and at once where nobody ever answered', async () => {
    server = await serveObjects(
      { large },
      { answer: (_, response) => response.writeHead(500).end() !== undefined },
    )
    const folder = remoteFolder(server.address, optionsWith(newCache()))
    await expect(folder.read('large')).rejects.toThrow(
      `${server.address}/large: must be readable, got status 500 Internal Server Error (tried 4 times)`,
    )
    expect(server.asked.length).toBe(4)
    const { address } = server
    await server.close()
    await expect(remoteFolder(address, optionsWith(newCache())).read('large')).rejects.toThrow(
      /large: must be readable, got connect ECONNREFUSED 127\.0\.0\.1:\d+$/,
    )
  })

  test('gives up a connection that falls silent', async () => {
    server = await serveObjects(
      { small },
      {
        answer: (_, response) => response.writeHead(200, { 'content-length': '9' }).write('x') !== undefined,
      },
    )
    const options = optionsWith(newCache(), { retrying: { retries: 1, waitMs: 1, idleMs: 100 } })
    await expect(remoteFolder(server.address, options).read('small')).rejects.toThrow(
      `${server.address}/small: must be readable, got no byte for 0.1 s (tried 2 times)`,
    )
  })

  test.each([401, 403, 400])('refuses what is refused with status %i, without asking again', async status => {
    server = await serveObjects(
      { small },
      { answer: (_, response) => response.writeHead(status).end('no') !== undefined },
    )
    await expect(remoteFolder(server.address, optionsWith(newCache())).exists('small')).rejects.toThrow(
      new RegExp(`small: must be readable, got status ${status} \\w+`),
    )
    expect(server.asked.length).toBe(1)
  })

  test('finds an object that changes while it is read', async () => {
    server = await serveObjects({ large })
    const folder = remoteFolder(server.address, optionsWith(newCache()))
    const file = await folder.open('large')
    const other = large.slice()
    other[9] = (other[9] as number) ^ 1
    server.objects.set('large', other)
    await expect(file.slice(blockBytes, blockBytes + 9)).rejects.toThrow(
      `${server.address}/large: object must stay as it was when it was opened, got another ETag: ${tagOf(other)}, not ${tagOf(large)}`,
    )
    server.objects.set('large', large.subarray(1))
    await expect(file.slice(2 * blockBytes, 2 * blockBytes + 9)).rejects.toThrow(
      `object must stay as it was when it was opened, got another length: ${large.length - 1}, not ${large.length}`,
    )
  })

  test.each(['etag', 'date', 'none'] as const)(
    'reads a changed object anew, known by its %s',
    async marks => {
      server = await serveObjects({ large }, { marks })
      const cache = newCache()
      const read = () => remoteFolder(server.address, optionsWith(cache)).read('large')
      await read()
      const other = large.slice().fill(7, 0, 2 * blockBytes)
      server.objects.set('large', other)
      expect(Buffer.compare(await read(), other)).toBe(0)
    },
  )

  test('reads a damaged, cut off or missing block of the cache again', async () => {
    server = await serveObjects({ large })
    const cache = newCache()
    const read = () => remoteFolder(server.address, optionsWith(cache)).read('large')
    await read()
    const blocks = async () =>
      (await readdir(cache, { recursive: true })).filter(path => /\/\d$/.test(path)).sort()
    await expect.poll(blocks).toHaveLength(4)
    const paths = await blocks()
    const [first, second, third] = paths.map(path => join(cache, path)) as [string, string, string]
    const bytes = await readFile(first)
    bytes[77] = (bytes[77] as number) ^ 1
    await writeFile(first, bytes)
    await writeFile(second, bytes.subarray(0, 1000))
    await rm(third)
    const before = server.sent()
    expect(Buffer.compare(await read(), large)).toBe(0)
    expect(server.sent() - before).toBe(3 * blockBytes)
    expect(Buffer.compare(await read(), large)).toBe(0)
    expect(server.sent() - before).toBe(3 * blockBytes)
  })

  test('reads what the server has where it is asked to, and leaves nothing of it to others', async () => {
    server = await serveObjects({ large })
    const cache = newCache()
    await remoteFolder(server.address, optionsWith(cache)).read('large')
    const before = server.sent()
    const fresh = remoteFolder(server.address, optionsWith(cache, { fresh: true }))
    const files = async () => (await readdir(cache, { recursive: true })).sort()
    // A folder of the object and one of its version, what is known of this, and four blocks.
    await expect.poll(async () => (await files()).filter(name => !name.endsWith('.tmp'))).toHaveLength(7)
    const kept = await files()
    expect(Buffer.compare(await fresh.read('large'), large)).toBe(0)
    expect(server.sent() - before).toBe(large.length)
    expect(await files()).toEqual(kept)
  })

  test('keeps the cache within its size, and reads on', async () => {
    const objects = Object.fromEntries(
      Array.from({ length: 6 }, (_, i) => [`${i}`, new Uint8Array(2 * blockBytes).fill(i)] as const),
    )
    server = await serveObjects(objects)
    const cache = newCache()
    const limit = 5 * blockBytes
    const folder = remoteFolder(server.address, optionsWith(cache, { cacheBytes: limit }))
    for (let round = 0; round < 2; round++) {
      for (const [name, bytes] of Object.entries(objects)) {
        expect(Buffer.compare(await folder.read(name), bytes)).toBe(0)
      }
    }
    // Blocks are still written and removed for a while.
    const total = async () => {
      const paths = (await readdir(cache, { recursive: true })).filter(path => /\/\d$/.test(path))
      const sizes = paths.map(path =>
        stat(join(cache, path)).then(
          ({ size }) => size,
          () => 0,
        ),
      )
      return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
    }
    await expect.poll(total).toBeLessThanOrEqual(limit)
    expect(await total()).toBeGreaterThan(0)
  })

  test('goes on keeping blocks where its cache is deleted meanwhile', async () => {
    server = await serveObjects({ large })
    const cache = newCache()
    const warn = vi.spyOn(process, 'emitWarning')
    const file = await remoteFolder(server.address, optionsWith(cache)).open('large')
    const blocks = async () => (await readdir(cache, { recursive: true })).filter(path => /\/\d$/.test(path))
    await expect.poll(blocks).toHaveLength(1)
    await rm(cache, { recursive: true })
    expect(Buffer.compare(await file.slice(blockBytes, large.length), large.subarray(blockBytes))).toBe(0)
    await expect.poll(blocks).toHaveLength(3)
    expect(warn).not.toHaveBeenCalled()
    warn.mockRestore()
  })

  test('removes no file of others from the folder that is named as its cache', async () => {
    server = await serveObjects({ large })
    const cache = newCache()
    const photos = ['photo.jpg', `${'a'.repeat(32)}/photo.jpg`, `${'b'.repeat(32)}/album/7`, 'photos/7']
    for (const name of photos) {
      const path = join(cache, name)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, new Uint8Array(2 * blockBytes))
      await utimes(path, 1, 1)
    }
    const folder = remoteFolder(server.address, optionsWith(cache, { cacheBytes: 3 * blockBytes }))
    expect(Buffer.compare(await folder.read('large'), large)).toBe(0)
    const files = await readdir(cache, { recursive: true })
    expect(files).toEqual(expect.arrayContaining(photos))
  })

  test('takes an object whole into the cache where its server sends no parts', async () => {
    server = await serveObjects({ large, small }, { ranges: false })
    const cache = newCache()
    const folder = remoteFolder(server.address, optionsWith(cache))
    const file = await folder.open('large')
    const [middle, start] = await Promise.all([
      file.slice(2 * blockBytes - 5, 2 * blockBytes + 5),
      file.slice(0, 10),
    ])
    expect(middle).toEqual(large.slice(2 * blockBytes - 5, 2 * blockBytes + 5))
    expect(start).toEqual(large.slice(0, 10))
    const before = server.asked.length
    expect(Buffer.compare(await folder.read('large'), large)).toBe(0)
    expect(server.asked.length).toBe(before)
    expect(await folder.read('small')).toEqual(small)
    const tight = optionsWith(newCache(), { cacheBytes: 2 * blockBytes })
    await expect(remoteFolder(server.address, tight).read('large')).rejects.toThrow(
      `${server.address}/large: object must fit into the cache of ${2 * blockBytes * 0.9} bytes, as its server sends no parts ` +
        `of it, got ${large.length} bytes (PMOE_CACHE_GIB gives it more)`,
    )
  })

  test('follows redirects, but to no unsafe place and not for ever', async () => {
    server = await serveObjects({ 'there/small': small })
    server.behaviour.answer = ({ path }, response) => {
      const targets: Record<string, string> = {
        'here/small': '../there/small',
        'unsafe/small': 'http://192.0.2.1/small?token=secret',
        'keyed/small': 'https://me:secret@192.0.2.1/small',
        'odd/small': 'ftp://192.0.2.1/small',
        'round/small': '/round/small',
      }
      const location = targets[path]
      if (location === undefined) return false
      response.writeHead(302, { location }).end()
      return true
    }
    const read = (folder: string) =>
      remoteFolder(`${server.address}/${folder}`, optionsWith(newCache())).read('small')
    expect(await read('here')).toEqual(small)
    const asked = server.asked.length
    await expect(read('unsafe')).rejects.toThrow(
      /\/unsafe\/small: must redirect to a safe address, got http:\/\/192\.0\.2\.1: address must be https:\/\/, or http:\/\/ on this machine/,
    )
    await expect(read('keyed')).rejects.toThrow(
      /\/keyed\/small: must redirect to an address without user name and password, got some for https:\/\/192\.0\.2\.1$/,
    )
    // None of them is asked again: it would not help.
    expect(server.asked.length).toBe(asked + 2)
    await expect(read('odd')).rejects.toThrow(
      /odd\/small: must redirect to https:\/\/, got ftp:\/\/192\.0\.2\.1$/,
    )
    await expect(read('round')).rejects.toThrow('round/small: must redirect at most 5 times, got more')
  })

  test('refuses answers that are no parts of the object as it is', async () => {
    server = await serveObjects({ small })
    const read = () => remoteFolder(server.address, optionsWith(newCache())).read('small')
    const answered = (status: number, headers: Record<string, string>) => {
      server.behaviour.answer = (_, response) => response.writeHead(status, headers).end('x') !== undefined
    }
    answered(200, { 'content-length': '1', 'content-encoding': 'gzip' })
    await expect(read()).rejects.toThrow('small: must be sent as it is, got it in content-encoding gzip')
    answered(206, { 'content-range': 'bytes 0-0/*' })
    await expect(read()).rejects.toThrow(
      'small: server must state the length of the object, got bytes 0-0/* (status 206)',
    )
    answered(206, { 'content-range': 'bytes 5-5/6' })
    await expect(read()).rejects.toThrow(
      'small: server must send parts of the 6 bytes, got status 206 with content-range bytes 5-5/6',
    )
    answered(200, { 'transfer-encoding': 'chunked' })
    await expect(read()).rejects.toThrow(
      'small: server must state the length of the object, got nothing (status 200)',
    )
    answered(416, { 'content-range': 'bytes */5' })
    await expect(read()).rejects.toThrow(
      'small: server must send parts of the 5 bytes, got status 416 with content-range bytes */5',
    )
  })

  test('refuses a cache that cannot be written', async () => {
    server = await serveObjects({ small })
    const file = join(root, 'a-file')
    await writeFile(file, '')
    await expect(remoteFolder(server.address, optionsWith(file)).read('small')).rejects.toThrow(
      `${file}: cache must be a folder that can be written, got EEXIST`,
    )
  })
})
