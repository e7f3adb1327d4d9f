import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { Browser, Page } from 'playwright-core'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { initialSetting } from '../../site/playground/setting.js'
import { networkOf, trainings } from '../../site/playground/worker/networks.js'
import { taskData } from '../../site/playground/worker/task-data.js'
import { loadModelFolder } from '../../src/files/model-files.js'
import { evaluate } from '../../src/train/evaluate.js'
import { train } from '../../src/train/loop.js'
import { buildPlayground } from '../../tools/playground.js'
import { useTestBackend } from '../backend-under-test.js'
import { chromiumPath } from './chromium.js'
import { launchChromium } from './pages.js'

if (!chromiumPath)
  console.log('Chromium is not installed (CHROMIUM may name it): the playground is not driven.')

const types: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
}
/** The limit of the test holds. */
const patiently = { timeout: 10 * 60_000 }
const setting = { ...initialSetting('digits', { backend: 'wasm', seed: 3 }), n: 100 }
const address = '#task=digits&n=100&seed=3&backend=wasm'

describe.skipIf(!chromiumPath)('the playground', () => {
  let folder: string
  let site: string
  let server: Server
  let browser: Browser
  /** Bytes that were asked for, compressed as servers do, by path. */
  const served = new Map<string, number>()

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'playground-'))
    await buildPlayground(join(folder, 'site'))
    server = createServer(async ({ url = '/' }, response) => {
      const path = url === '/' ? '/index.html' : url
      const bytes = await readFile(join(folder, 'site', path)).catch(() => undefined)
      response.setHeader('Content-Type', types[extname(path)] ?? 'application/octet-stream')
      response.statusCode = bytes ? 200 : 404
      if (bytes) served.set(path, gzipSync(bytes).length)
      response.end(bytes)
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    site = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    browser = await launchChromium()
    await useTestBackend()
  })

  afterAll(async () => {
    await browser?.close()
    server?.close()
    await rm(folder, { recursive: true, force: true })
  })

  /** A tab with the playground, paused before its first epoch; what it logs as an error is collected. */
  async function open(hash: string): Promise<{ tab: Page; failures: string[] }> {
    const tab = await browser.newPage()
    tab.setDefaultTimeout(0)
    const failures: string[] = []
    tab.on('pageerror', error => failures.push(error.message))
    tab.on('console', message => message.type() === 'error' && failures.push(message.text()))
    await tab.goto(`${site}${hash}`)
    return { tab, failures }
  }

  /** Begins anew, paused, also where the training was quicker than the test and is done. */
  async function startAnew(tab: Page): Promise<void> {
    const pause = tab.getByRole('button', { name: 'Pause' })
    await pause.or(tab.getByText(/^Epoch \d+ of \d+, done$/)).waitFor()
    // In the page, so that the training cannot end between the look and the press.
    await tab.evaluate(() => {
      const toggle = document.querySelector<HTMLButtonElement>('.transport button.primary')
      if (toggle?.textContent === 'Pause') toggle.click()
    })
    await tab.getByRole('button', { name: 'Start anew' }).click()
    await epochIs(tab, 0)
  }

  async function trainOneEpoch(tab: Page, epoch: number): Promise<void> {
    await tab.getByRole('button', { name: 'One epoch' }).click()
    await epochIs(tab, epoch)
  }

  async function epochIs(tab: Page, epoch: number): Promise<void> {
    await tab.getByText(new RegExp(`^Epoch ${epoch} of`)).waitFor()
    await tab.getByRole('button', { name: 'One epoch', disabled: false }).waitFor()
  }

  const accuracies = (tab: Page) => tab.locator('.tile-value').allTextContents()
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`
  const alert = (tab: Page) => tab.getByRole('alert').textContent()
  /** How many of the images on the wall the mixture names rightly, as a screen reader is told. */
  const wall = (tab: Page) => tab.locator('.wall-canvas').getAttribute('aria-label')

  /** Test accuracies of two epochs in Node, by the library alone. */
  async function inNode(name: 'dense' | 'mixture'): Promise<string[]> {
    const samples = new URL('../../samples/', import.meta.url).href
    const data = await taskDataOfSamples(samples)
    const { routers: _, ...training } = trainings.digits
    const model = networkOf(name, setting, data.train) as tfl.LayersModel
    const found: string[] = []
    for await (const event of train(model, { ...training, ...data, seed: setting.seed })) {
      if (event.type !== 'epoch') continue
      found.push(percent(event.testAccuracy as number))
      if (event.epoch === 2) break
    }
    return found
  }

  /** The data of the task, of which files are read from the disk. */
  async function taskDataOfSamples(samples: string) {
    const fetched = globalThis.fetch
    globalThis.fetch = async url => new Response(await readFile(fileURLToPath(String(url))))
    try {
      return await taskData(setting, samples, undefined)
    } finally {
      globalThis.fetch = fetched
    }
  }

  test('trains both networks to the numbers of Node, saves them, and loads one', async () => {
    const { tab, failures } = await open(address)
    await startAnew(tab)
    const seen: string[][] = []
    for (const epoch of [1, 2]) {
      await trainOneEpoch(tab, epoch)
      seen.push(await accuracies(tab))
    }
    const expected = [await inNode('dense'), await inNode('mixture')]
    expect(seen).toEqual([0, 1].map(epoch => expected.map(network => network[epoch])))
    expect(await tab.locator('.reason').textContent()).toMatch(/^wasm: it was asked for; 1 thread/)

    const saved = join(folder, 'saved')
    await mkdir(saved)
    const downloads: Promise<void>[] = []
    tab.on('download', download => downloads.push(download.saveAs(join(saved, download.suggestedFilename()))))
    await tab.getByRole('button', { name: 'Save the mixture' }).click()
    await expect.poll(() => downloads.length, patiently).toBe(2)
    await Promise.all(downloads)
    const model = await loadModelFolder(saved)
    const data = await taskDataOfSamples(new URL('../../samples/', import.meta.url).href)
    const { accuracy } = await evaluate(model, data.test, { batchSize: 100 })
    expect(percent(accuracy)).toBe(seen[1]?.[1])

    const before = (await wall(tab))?.match(/the mixture .*/)?.[0]
    await tab.getByRole('button', { name: 'Start anew' }).click()
    await epochIs(tab, 0)
    await tab
      .getByLabel('Load a network')
      .setInputFiles([join(saved, 'model.json'), join(saved, 'weights.bin')])
    await expect.poll(() => wall(tab), patiently).toContain(before)
    await epochIs(tab, 0)
    await tab.getByLabel('Load a network').setInputFiles(join(saved, 'model.json'))
    await expect
      .poll(() => alert(tab), patiently)
      .toContain('Load: files must include weights.bin, which model.json names, got model.json')
    expect(failures).toEqual([])
    await tab.close()
  })

  test('needs less than 600 kB before data', () => {
    const page = [...served].filter(([path]) => !path.startsWith('/samples/'))
    expect(page.map(([path]) => extname(path))).toContain('.wasm')
    expect(page.reduce((sum, [, bytes]) => sum + bytes, 0)).toBeLessThan(600_000)
  })

  test('follows controls and addresses, by keyboard, at the width of a phone', async () => {
    const { tab, failures } = await open(address)
    await tab.setViewportSize({ width: 390, height: 800 })
    await startAnew(tab)
    await tab.getByLabel('Experts (k)').focus()
    await tab.keyboard.press('ArrowLeft')
    await tab.getByLabel('Side of a patch').focus()
    await tab.keyboard.press('ArrowRight')
    await expect.poll(() => tab.url(), patiently).toContain('k=5&l=4&patch=16')
    await epochIs(tab, 0)
    expect(await tab.locator('output').allTextContents()).toEqual(['5', '4', '16 px', '100'])
    await tab.getByLabel('Before them').check()
    await expect
      .poll(() => tab.url(), patiently)
      .toContain('k=2&l=4&patch=16&gate=softmax-selected&routers=separate')
    await trainOneEpoch(tab, 1)
    const shared = tab.url()
    await tab.evaluate(() => {
      location.hash = '#task=digits&n=100&k=3&backend=wasm'
    })
    await tab.getByText('k must be 1, 2, 4, 5, 8, 10 or 20, got "3": 8 is used').waitFor()
    await tab.evaluate(hash => {
      location.hash = hash
    }, new URL(shared).hash)
    await expect
      .poll(() => tab.locator('output').allTextContents(), patiently)
      .toEqual(['2', '4', '16 px', '100'])
    const unnamed = await tab.evaluate(() =>
      [...document.querySelectorAll<HTMLInputElement>('button, input, select')]
        .filter(control => !control.textContent?.trim() && !control.labels?.length && !control.ariaLabel)
        .map(control => control.outerHTML),
    )
    expect(unnamed).toEqual([])
    const sides = await tab.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
    expect(sides[0]).toBe(sides[1])
    expect(failures).toEqual([])
    await tab.close()
  })

  test('trains on the pictures of a visitor, and names those that are none', async () => {
    const name = '<img src=x onerror=alert(1)>'
    const pets = join(folder, 'pets')
    await drawPictures(join(pets, name), 6, '#a03020')
    await drawPictures(join(pets, 'dogs'), 6, '#2040a0')
    await writeFile(join(pets, 'dogs', 'notes.jpg'), 'no picture')
    await writeFile(join(pets, 'dogs', 'empty.png'), '')
    const { tab, failures } = await open('#task=own&backend=wasm')
    await tab.getByLabel('Choose a folder of folders').setInputFiles(pets)
    await tab.getByLabel('Name of class dogs').waitFor()
    await tab.getByRole('button', { name: 'Train on these' }).click()
    await tab
      .getByText('12 pictures of 2 classes are read. Left out: ')
      .filter({ hasText: 'notes.jpg (this browser reads no picture from it)' })
      .filter({ hasText: 'empty.png (the file is empty)' })
      .waitFor()
    await startAnew(tab)
    await trainOneEpoch(tab, 1)
    expect(await wall(tab)).toMatch(/^4 test images/)
    expect(await tab.locator('.playground img').count()).toBe(0)

    await tab.getByRole('button', { name: 'Take pictures of dogs' }).click()
    await expect.poll(() => alert(tab), patiently).toMatch(/^Camera: /)
    await tab.getByRole('button', { name: 'Remove dogs' }).click()
    await tab.getByRole('button', { name: 'Train on these' }).click()
    await expect
      .poll(() => alert(tab), patiently)
      .toContain(`Own pictures: there must be 2 to 10 classes, got 1, ${JSON.stringify(name)}`)
    expect(failures).toEqual([])
    await tab.close()
  })

  test('goes on with WebAssembly where the graphics card is lost', async () => {
    const { tab } = await open(address)
    await startAnew(tab)
    await trainOneEpoch(tab, 1)
    const [worker] = tab.workers()
    // Contexts that are made from now on are remembered, so that they can be lost.
    await worker?.evaluate(() => {
      const original = OffscreenCanvas.prototype.getContext as (...of: unknown[]) => unknown
      const contexts: unknown[] = []
      Object.assign(globalThis, { contexts })
      Object.assign(OffscreenCanvas.prototype, {
        getContext(this: OffscreenCanvas, ...of: unknown[]) {
          const context = original.apply(this, of)
          contexts.push(context)
          return context
        },
      })
    })
    await tab.getByLabel('Computes on').selectOption('webgl-software')
    await tab.getByText(/^webgl-software: it was asked for; .*SwiftShader/).waitFor()
    // Before the epoch begins, which may be over at once.
    await worker?.evaluate(() => {
      const { contexts } = globalThis as unknown as { contexts: (WebGL2RenderingContext | null)[] }
      for (const context of contexts) context?.getExtension?.('WEBGL_lose_context')?.loseContext()
    })
    await tab.getByRole('button', { name: 'One epoch' }).click()
    await expect.poll(() => alert(tab), patiently).toMatch(/^WebGL: context must stay there, got its loss/)
    await tab.getByRole('button', { name: 'Go on with WebAssembly' }).click()
    await tab.getByText(/^wasm: it was asked for/).waitFor()
    await epochIs(tab, 1)
    await trainOneEpoch(tab, 2)
    await tab.close()
  })
})

/** Pictures of one colour with noise, 40x30. */
async function drawPictures(folder: string, count: number, background: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (let i = 0; i < count; i++) {
    await sharp({
      create: {
        width: 40,
        height: 30,
        channels: 3,
        background,
        noise: { type: 'gaussian', mean: 120, sigma: 30 },
      },
    })
      .tint(background)
      .png()
      .toFile(join(folder, `${i}.png`))
  }
}
