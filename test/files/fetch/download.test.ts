import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DownloadError, discardDownload, download } from '../../../src/files/fetch/download.js'
import { random } from '../../../src/random.js'
import { type Answer, type FileServer, sendAndBreak, serveFiles } from '../file-server.js'

const source = random(5, 'file')
const bytes = Uint8Array.from({ length: 300_000 }, () => source.below(256))

let dir: string
let server: FileServer | undefined
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pmoe-download-'))
})
afterEach(async () => {
  await server?.close()
  server = undefined
  rmSync(dir, { recursive: true, force: true })
})

const partIn = () => join(dir, 'file.part')

async function serving(answer?: Answer, etag: string | undefined = '"v1"') {
  server = await serveFiles({ file: { bytes, ...(etag !== undefined && { etag }) } }, answer)
  const part = partIn()
  const options = { url: `${server.address}file`, part, atMostBytes: 1e6, waitMs: 1 }
  return { server, part, options }
}

/** Compares bytes as bytes: an assertion on 300,000 numbers takes a second. */
function expectKept(part: string, expected: Uint8Array): void {
  const found = readFileSync(part)
  expect(found.length).toBe(expected.length)
  expect(found.equals(expected)).toBe(true)
}

describe('download', () => {
  it('fills the file and tells how far it is', async () => {
    const { server, part, options } = await serving()
    const progress: number[] = []
    await download({
      ...options,
      onProgress: ({ received, total }) => {
        expect(total).toBe(300_000)
        progress.push(received)
      },
    })
    expectKept(part, bytes)
    expect(progress[0]).toBe(0)
    expect(progress.at(-1)).toBe(300_000)
    expect(progress).toEqual([...progress].sort((a, b) => a - b))
    expect(server.asked).toEqual([
      { path: 'file', range: undefined, ifRange: undefined, encoding: 'identity' },
    ])
    await discardDownload(part)
    expect([existsSync(part), existsSync(`${part}.json`)]).toEqual([false, false])
  })

  it('asks for the rest when the connection breaks, on condition that the file is the same', async () => {
    const { server, part, options } = await serving(
      (_, response, number) =>
        number === 1 && sendAndBreak(response, bytes, 70_000, { etag: '"v1"' }, partIn()),
    )
    await download(options)
    expectKept(part, bytes)
    const [, second] = server.asked
    expect(server.asked).toHaveLength(2)
    expect(second).toMatchObject({ range: 'bytes=70000-', ifRange: '"v1"' })
  })

  it('continues after it was stopped', async () => {
    const { server, part, options } = await serving((_, response, number) => {
      if (number > 1) return false
      response.writeHead(200, { 'content-length': bytes.length, etag: '"v1"' })
      response.write(bytes.subarray(0, 50_000))
      return true
    })
    const stop = new AbortController()
    const stopped = download({
      ...options,
      signal: stop.signal,
      onProgress: ({ received }) => received === 50_000 && stop.abort(new Error('enough')),
    })
    await expect(stopped).rejects.toThrow(new Error('enough'))
    expectKept(part, bytes.subarray(0, 50_000))
    const progress: number[] = []
    await download({ ...options, onProgress: ({ received }) => progress.push(received) })
    expect(progress[0]).toBe(50_000)
    expectKept(part, bytes)
    expect(server.asked.map(({ range }) => range)).toEqual([undefined, 'bytes=50000-'])
  })

  it.each([
    ['the file has changed', '"v0"', 'file'],
    ['it came from another address', '"v1"', 'other'],
  ])('starts anew where %s', async (_, validator, name) => {
    const { server, part, options } = await serving()
    writeFileSync(part, new Uint8Array(1000))
    writeFileSync(`${part}.json`, JSON.stringify({ url: `${server.address}${name}`, validator }))
    await download(options)
    expectKept(part, bytes)
    expect(server.asked[0]?.range).toBe(name === 'file' ? 'bytes=1000-' : undefined)
  })

  it.each(['no json', '{"url": 3}', ''])('starts anew where its mark is damaged: %j', async mark => {
    const { server, part, options } = await serving()
    writeFileSync(part, new Uint8Array(1000))
    writeFileSync(`${part}.json`, mark)
    await download(options)
    expectKept(part, bytes)
    expect(server.asked).toHaveLength(1)
  })

  it('takes a part that is whole already, and throws away one that is longer than the file', async () => {
    const { server, part, options } = await serving()
    const mark = JSON.stringify({ url: options.url, validator: '"v1"' })
    writeFileSync(part, bytes)
    writeFileSync(`${part}.json`, mark)
    await download(options)
    expectKept(part, bytes)
    writeFileSync(part, new Uint8Array(300_001))
    await download(options)
    expectKept(part, bytes)
    expect(server.asked.map(({ range }) => range)).toEqual(['bytes=300000-', 'bytes=300001-', undefined])
  })

  it('throws away a rest that starts elsewhere than asked', async () => {
    const { server, part, options } = await serving(({ range }, response) => {
      if (range === undefined) return false
      response
        .writeHead(206, { 'content-length': 10, 'content-range': 'bytes 5-14/300000' })
        .end('0123456789')
      return true
    })
    writeFileSync(part, bytes.subarray(0, 1000))
    writeFileSync(`${part}.json`, JSON.stringify({ url: options.url, validator: '"v1"' }))
    await download(options)
    expectKept(part, bytes)
    expect(server.asked).toHaveLength(2)
  })

  it('does not ask for the rest of a file that the server does not mark, nor of one it marks weakly', async () => {
    for (const headers of [{}, { etag: 'W/"v1"' }]) {
      const { server, part, options } = await serving(
        (_, response, number) => number === 1 && sendAndBreak(response, bytes, 70_000, headers, partIn()),
      )
      await download(options)
      expectKept(part, bytes)
      expect(server.asked.map(({ range }) => range)).toEqual([undefined, undefined])
      await server.close()
    }
  })

  it('gives up when no connection brings anything, and says what is kept', async () => {
    const { server, options } = await serving((_, response, number) =>
      number === 1
        ? sendAndBreak(response, bytes, 70_000, { etag: '"v1"' }, partIn())
        : Boolean(response.writeHead(503).end()),
    )
    const failed = await download({ ...options, retries: 2 }).catch((error: unknown) => error)
    expect(failed).toBeInstanceOf(DownloadError)
    const { message, kept } = failed as DownloadError
    expect(message).toBe(`${options.url}: file must download to its end, got status 503 Service Unavailable`)
    expect(kept).toBe(70_000)
    // The first one brought something, then two retries.
    expect(server.asked).toHaveLength(1 + 3)
  })

  it('counts a connection that falls silent as broken', async () => {
    const { server, options } = await serving((_, response) => {
      response.writeHead(200, { 'content-length': bytes.length })
      response.write(bytes.subarray(0, 10))
      return true
    })
    await expect(download({ ...options, retries: 1, idleMs: 50 })).rejects.toThrow(
      `${options.url}: file must download to its end, got no byte for 0.05 s`,
    )
    expect(server.asked).toHaveLength(2)
  })

  it('does not ask again for what is not there', async () => {
    const { server, part, options } = await serving()
    const url = `${server.address}none`
    await expect(download({ ...options, url })).rejects.toThrow(
      `${url}: file must download to its end, got status 404 Not Found`,
    )
    expect(server.asked).toHaveLength(1)
    expect(existsSync(part)).toBe(false)
  })

  it('refuses bytes that the server encodes', async () => {
    const { options } = await serving((_, response) => {
      response.writeHead(200, { 'content-encoding': 'deflate' }).end()
      return true
    })
    await expect(download(options)).rejects.toThrow(
      `${options.url}: file must download to its end, got it in content-encoding deflate`,
    )
  })

  it('refuses a file that is too long, announced or not, and keeps nothing of it', async () => {
    const announced = await serving()
    await expect(download({ ...announced.options, atMostBytes: 299_999 })).rejects.toThrow(
      new RangeError(`${announced.options.url}: file must be at most 299999 bytes, got 300000`),
    )
    expect(existsSync(announced.part)).toBe(false)
    await announced.server.close()
    const endless = await serving((_, response) => {
      response.writeHead(200)
      response.write(bytes)
      response.end(bytes)
      return true
    })
    await expect(download({ ...endless.options, atMostBytes: 400_000 })).rejects.toThrow(
      new RangeError(`${endless.options.url}: file must be at most 400000 bytes, got more`),
    )
    expect(existsSync(endless.part)).toBe(false)
  })

  it('names a host that does not answer, and a place that cannot be written', async () => {
    const { server, options } = await serving()
    const url = options.url
    await expect(download({ ...options, part: join(dir, 'none', 'x.part') })).rejects.toThrow(
      `${url}: file must download to its end, got no room on the disk: writeFileAtomic: ${join(dir, 'none', 'x.part.json')} must be writable`,
    )
    expect(server.asked).toHaveLength(1)
    await server.close()
    await expect(download({ ...options, retries: 1 })).rejects.toThrow(
      `${url}: file must download to its end, got connect ECONNREFUSED 127.0.0.1`,
    )
  })
})
