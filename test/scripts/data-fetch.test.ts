import { existsSync, statSync } from 'node:fs'
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { StartedProcess } from '../child-processes.js'
import { idxBytes } from '../data/memory-source.js'
import { serveFiles } from '../files/file-server.js'
import { callPmoe, startPmoe } from './run-pmoe.js'

let dir: string
let files: Record<string, { bytes: Uint8Array; etag: string }>
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'pmoe-fetch-'))
  // Black images: as many as there must be, in a file of 45 kB.
  files = Object.fromEntries(
    Object.entries({ train: 60_000, t10k: 10_000 }).flatMap(([half, count]) => {
      const images = gzipSync(idxOf(0x803, [count, 28, 28]))
      const labels = gzipSync(idxOf(0x801, [count]))
      return [
        [`${half}-images-idx3-ubyte.gz`, { bytes: images, etag: `"${half} images"` }],
        [`${half}-labels-idx1-ubyte.gz`, { bytes: labels, etag: `"${half} labels"` }],
      ]
    }),
  )
})
afterAll(() => rm(dir, { recursive: true, force: true }))

/** An IDX file of zeros. */
function idxOf(magic: number, sizes: readonly number[]): Uint8Array {
  const header = idxBytes(magic, sizes, [])
  const bytes = new Uint8Array(header.length + sizes.reduce((product, size) => product * size, 1))
  bytes.set(header)
  return bytes
}

const names = [
  'train-images-idx3-ubyte.gz',
  'train-labels-idx1-ubyte.gz',
  't10k-images-idx3-ubyte.gz',
  't10k-labels-idx1-ubyte.gz',
]

describe('pmoe data fetch', () => {
  test('fetches from another address, says what trains, and next time that all is there', async () => {
    const server = await serveFiles(files)
    const out = join(dir, 'mnist')
    try {
      const first = await callPmoe(['data', 'fetch', 'mnist', '--from', server.address, '--out', out])
      expect({ code: first.code, err: first.err }).toEqual({ code: 0, err: '' })
      expect(first.out).toContain(`${names[0]} from ${server.address}${names[0]}\n`)
      expect(first.out).toContain(`Fetched and checked: ${names.join(', ')}\n`)
      expect(first.out).toContain(`MNIST is in ${out} (licence: CC BY-SA 3.0; http`)
      expect(first.out.trimEnd()).toMatch(
        /Train on it: pmoe train --dataset mnist-patches --data \S+ --model /,
      )
      const asked = server.asked.length
      const second = await callPmoe(['data', 'fetch', 'mnist', '--out', out, '--json'])
      expect(JSON.parse(second.out)).toEqual({
        type: 'fetched',
        dataset: 'mnist',
        folder: out,
        fetched: [],
        present: names.map(name => join(out, name)),
      })
      expect([asked, server.asked.length]).toEqual([4, 4])
      expect((await readdir(out)).sort()).toEqual([...names].sort())
    } finally {
      await server.close()
    }
  })

  test('Ctrl-C keeps what has arrived, and the command that it names goes on with it', async () => {
    const out = join(dir, 'stopped')
    const part = join(out, `${names[0]}.part`)
    let running: StartedProcess | undefined
    const half = (response: ServerResponse): true => {
      const { bytes, etag } = files[names[0]!]!
      response.writeHead(200, { 'content-length': bytes.length, etag })
      response.write(bytes.subarray(0, 20_000))
      const waiting = setInterval(() => {
        if (!existsSync(part) || statSync(part).size < 20_000) return
        clearInterval(waiting)
        running?.child.kill('SIGINT')
      }, 20)
      return true
    }
    const server = await serveFiles(files, (_, response, number) => number === 1 && half(response))
    const words = ['data', 'fetch', 'mnist', '--out', out, '--from', server.address]
    try {
      running = startPmoe(words)
      const stopped = await running.finished
      expect(stopped).toMatchObject({ code: 130, err: '' })
      expect(stopped.out).toContain(
        `Stopped; what has arrived is kept. Continue with: pmoe ${words.join(' ')}\n`,
      )
      expect((await stat(part)).size).toBe(20_000)
      expect((await callPmoe(words)).code).toBe(0)
      expect(server.asked[1]?.range).toBe('bytes=20000-')
      expect((await readdir(out)).sort()).toEqual([...names].sort())
    } finally {
      await server.close()
    }
  })

  test('an archive with another MD5 is refused: exit code 1, nothing is kept', async () => {
    const archive = join(dir, 'cifar-10-binary.tar.gz')
    await writeFile(archive, 'not this one')
    const out = join(dir, 'cifar')
    const {
      code,
      out: written,
      err,
    } = await callPmoe([...['data', 'fetch', 'cifar10', '--from', archive, '--out', out]])
    expect({ code, written }).toEqual({ code: 1, written: '' })
    expect(err).toBe(
      `pmoe: ${archive}: MD5 must be c32a1d4ab5d03f1284b67883e8d87530, got dad2a75130fc318d717d831c48792638 ` +
        '(file of 12 bytes; nothing was put in place)\n',
    )
    expect(existsSync(out)).toBe(false)
  })

  test('without network it names the host, and what to do by hand', async () => {
    const { code, err } = await callPmoe([
      ...['data', 'fetch', 'cifar100', '--from', 'http://127.0.0.1:1/', '--out', join(dir, 'none')],
    ])
    expect(code).toBe(1)
    expect(err).toMatch(
      /^pmoe: http:\/\/127\.0\.0\.1:1\/cifar-100-binary\.tar\.gz: file must download to its end, got .* \(by hand: put cifar-100-binary\.tar\.gz into a folder \(see https:\S+\) and call pmoe data fetch cifar100 --from FOLDER\)\n$/,
    )
  })

  test.each([
    [['cats', '--out', 'x'], "command-argument value 'cats' is invalid for argument 'name'"],
    [['mnist'], "required option '--out <folder>' not specified"],
  ])('%j is a mistake in the call', async (words, message) => {
    const { code, err } = await callPmoe(['data', 'fetch', ...words])
    expect(code).toBe(2)
    expect(err).toContain(message)
  })
})

test('the commands about data have help with an example', async () => {
  for (const name of ['list', 'fetch', 'inspect']) {
    const { code, out } = await callPmoe(['data', name, '--help'])
    expect(code).toBe(0)
    expect(out).toContain(`Usage: pmoe data ${name}`)
    expect(out).toContain(`$ pmoe data ${name}`)
  }
})
