import { rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { explain } from '../../../src/explain/explain.js'
import type { Contents, ImageAnswer } from '../../../src/explore/description.js'
import { useTestBackend } from '../../backend-under-test.js'
import { coloured, pictureNumber, type SmallFiles, shape, smallFiles } from '../../explore/small-mixture.js'
import { callPmoe, startPmoe } from '../run-pmoe.js'

let files: SmallFiles

beforeAll(async () => {
  await useTestBackend()
  files = await smallFiles()
})
afterAll(() => rm(files.root, { recursive: true, force: true }))

describe('pmoe explore', () => {
  let address: string
  let server: ReturnType<typeof startPmoe>

  beforeAll(async () => {
    const hostile = '<img src=x onerror=alert(1)>.png'
    await writeFile(join(files.images, hostile), 'no image')
    const raw = { width: 4000, height: 3000, channels: 3 } as const
    const large = sharp({ create: { ...raw, background: '#f00' } })
    await writeFile(join(files.images, 'large.jpg'), await large.jpeg().toBuffer())
    server = startPmoe(['explore', files.modelFolder, files.images, '--json', '--backend', 'wasm'])
    ;({ address } = JSON.parse(await server.line(/^\{/)) as { address: string })
  })

  const post = (question: unknown, headers: Record<string, string> = {}) =>
    fetch(`${address}ask`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(question),
    })
  const contents = async () => (await (await post({ ask: 'contents' })).json()) as Contents

  /** What a request gets that is sent as it is, without the care of a browser. */
  async function raw(lines: readonly string[]): Promise<string> {
    const socket = connect(Number(new URL(address).port), '127.0.0.1')
    socket.end(`${[...lines, 'connection: close'].join('\r\n')}\r\n\r\n`)
    const chunks = []
    for await (const chunk of socket) chunks.push(chunk as Buffer)
    return Buffer.concat(chunks).toString()
  }

  test('answers on this computer alone with what explain says, and says what cannot be read', async () => {
    expect(address).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/)
    const { networks, images } = await contents()
    expect(networks[0]).toMatchObject({ source: files.modelFolder, classNames: ['red', 'green', 'blue'] })
    const names = images.map(({ name }) => name)
    expect(names).toEqual(expect.arrayContaining([...files.names, 'large.jpg']))
    expect(images[names.indexOf('blue/1.png')]?.label).toBe('blue')
    expect(images[names.indexOf('large.jpg')]).toEqual({ name: 'large.jpg' })
    const asked = ['green/2.png', '<img src=x onerror=alert(1)>.png', 'large.jpg']
    const numbers = asked.map(name => names.indexOf(name))
    const question = { ask: 'answers', network: 0, images: numbers, setting: {} }
    const [green, hostile, large] = (await (await post(question)).json()) as [
      ImageAnswer,
      { problem: string },
      ImageAnswer,
    ]
    const expected = await explain(files.model, coloured(pictureNumber(1, 2)), shape, { sensitivity: false })
    green.probabilities.forEach((value, i) => {
      expect(value).toBeCloseTo(expected.images[0]?.probabilities[i] ?? Number.NaN, 4)
    })
    expect(green.experts.map(({ patches }) => patches)).toEqual(
      expected.images[0]?.experts.map(({ patches }) => patches),
    )
    expect(hostile.problem).toMatch(/file must be an image that decodes to its end, got no image/)
    expect(large.probabilities).toHaveLength(3)
    const picture = await fetch(`${address}pictures/0/${numbers[2]}?longest=200`)
    expect(picture.headers.get('content-type')).toBe('image/jpeg')
    const { width, height } = await sharp(Buffer.from(await picture.arrayBuffer())).metadata()
    expect({ width, height }).toEqual({ width: 200, height: 150 })
  })

  test('serves nothing but what it was given', async () => {
    const page = await fetch(address)
    expect(page.headers.get('content-security-policy')).toContain("default-src 'self'")
    expect(await page.text()).toContain('<script type="module" src="./explorer.js">')
    expect((await fetch(`${address}explorer.js`)).status).toBe(200)
    const paths = ['/../../../etc/passwd', '/%2e%2e/package.json', '/explorer.js/..', '/pictures/0/..%2f..']
    paths.push(
      '/pictures/0/99',
      '/pictures/5/0',
      '/pictures/0/0/0',
      '/pictures/0/-1',
      '/images',
      '//evil.test/',
    )
    paths.push(`/${encodeURIComponent(join(files.images, 'red/0.png'))}`)
    const host = `host: ${new URL(address).host}`
    for (const path of paths) {
      expect(await raw([`GET ${path} HTTP/1.1`, host])).toMatch(/^HTTP\/1\.1 404 /)
    }
    expect(await raw(['PUT / HTTP/1.1', host])).toMatch(/^HTTP\/1\.1 405 /)
  })

  test('refuses what comes under another name or from another page', async () => {
    const { host } = new URL(address)
    const refused = await raw(['GET / HTTP/1.1', 'host: evil.test'])
    expect(refused).toMatch(/^HTTP\/1\.1 403 /)
    expect(refused).toContain(
      `explore: host must be ${host} or ${host.replace('127.0.0.1', 'localhost')}, got evil.test`,
    )
    expect(await raw(['GET / HTTP/1.1', `host: ${host.replace('127.0.0.1', 'localhost')}`])).toMatch(
      /^HTTP\/1\.1 200 /,
    )
    expect(await raw(['GET /pictures/0/0 HTTP/1.1', 'host: evil.test'])).toMatch(/^HTTP\/1\.1 403 /)
    expect(await (await post({ ask: 'contents' }, { origin: 'http://evil.test' })).json()).toEqual({
      error: 'explore: origin must be the explorer itself, got http://evil.test',
    })
    expect((await post({ ask: 'contents' }, { 'content-type': 'text/plain' })).status).toBe(415)
    expect(await (await post({ ask: 'nothing' })).json()).toEqual({
      error: expect.stringMatching(/^explore: question must be one that is known, got: ask: /),
    })
    const long = await fetch(`${address}ask`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: 'x'.repeat(2 ** 20 + 1),
    })
    expect(await long.json()).toEqual({
      error: 'explore: question must be of at most 1048576 bytes, got more',
    })
  })

  test('takes more images, whatever they are called, and ends with Ctrl-C', async () => {
    const png = await sharp(coloured(500), { raw: { width: 16, height: 16, channels: 3 } })
      .png()
      .toBuffer()
    const name = '../../blue/../<b>.png'
    const added = await fetch(`${address}images?name=${encodeURIComponent(name)}`, {
      method: 'POST',
      body: new Uint8Array(png),
    })
    expect(added.status).toBe(200)
    const { images } = await contents()
    expect(images.at(-1)).toEqual({ name, label: 'blue' })
    const question = { ask: 'answers', network: 0, images: [images.length - 1], setting: {} }
    const [answer] = (await (await post(question)).json()) as [ImageAnswer]
    const { images: expected } = await explain(files.model, coloured(500), shape, { sensitivity: false })
    expect(answer.probabilities[0]).toBeCloseTo(expected[0]?.probabilities[0] ?? Number.NaN, 4)
    server.child.kill('SIGINT')
    expect(await server.finished).toMatchObject({ code: 0, err: '' })
  })
})

test('says what cannot be explored', async () => {
  const call = (...words: string[]) => callPmoe(['explore', ...words, '--backend', 'wasm'])
  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => taken.once('listening', resolve))
  const { port } = taken.address() as AddressInfo
  expect(await call(files.modelFolder, '--port', String(port))).toEqual({
    code: 2,
    out: '',
    err: `pmoe: explore: --port must be free and allowed, got ${port}: another program listens there (without --port a free one is taken)\n`,
  })
  taken.close()
  expect((await call(files.modelFolder, '--port', '70000')).code).toBe(2)
  expect(await call(files.modelFolder, join(files.root, 'nowhere'))).toMatchObject({
    code: 1,
    err: `pmoe: ${join(files.root, 'nowhere')}: image must be readable, got nothing there\n`,
  })
  expect(await call(files.images)).toMatchObject({
    code: 1,
    err: `pmoe: ${files.images}: must be the folder of a run or of a saved model, got neither config.json nor model.json\n`,
  })
  await rm(join(files.modelFolder, 'weights.bin'))
  expect(await call(files.modelFolder)).toMatchObject({
    code: 1,
    err: expect.stringContaining('weights.bin'),
  })
})
