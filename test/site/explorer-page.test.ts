import { readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ExploredImage, imageFile } from '../../scripts/run/exploring/explored-images.js'
import { exploredRun } from '../../scripts/run/exploring/explored-runs.js'
import { type RunningServer, serveExplorer } from '../../scripts/run/exploring/explorer-server.js'
import { explorerPage } from '../../scripts/run/exploring/page-files.js'
import type { ImageAnswer, Setting } from '../../src/explore/description.js'
import { Explorer } from '../../src/explore/explorer.js'
import { buildDroppedExplorer } from '../../tools/explorer-page.js'
import { useTestBackend } from '../backend-under-test.js'
import { chromiumPath } from '../browser/chromium.js'
import { launchChromium } from '../browser/pages.js'
import { colours, type SmallFiles, smallFiles, trainedMixture } from '../explore/small-mixture.js'

if (!chromiumPath)
  console.log('Chromium is not installed (CHROMIUM may name it): the page of the explorer is not tried.')

const hostile = '<img src=x onerror=alert(1)>.png'

describe.skipIf(!chromiumPath)('the page of the explorer', () => {
  let files: SmallFiles
  let browser: Browser
  let explorer: Explorer
  let server: RunningServer

  beforeAll(async () => {
    await useTestBackend()
    files = await smallFiles()
    await writeFile(join(files.images, hostile), 'no image')
    const images: ExploredImage[] = [...files.names, hostile].map(name =>
      imageFile(join(files.images, name), files.images, colours),
    )
    const models = [files.model, await trainedMixture(2)]
    const runs = models.map((model, i) =>
      exploredRun({ model, directory: `model ${i}`, classNames: colours, isOfPatchMoe: true }, () => images),
    )
    explorer = new Explorer(() => ({
      networks: runs.map(({ network }) => network),
      images: images.map(({ entry }) => entry),
      notes: [],
    }))
    const picture = async (network: number, image: number, longest: number) =>
      images[image]?.picture(runs[network]?.taking as never, longest)
    const addImage = async () => {
      throw new Error('no image is added here')
    }
    server = await serveExplorer({ explorer, page: await explorerPage(), picture, addImage })
    browser = await launchChromium()
  })
  afterAll(async () => {
    await browser?.close()
    await server?.close()
    if (files) await rm(files.root, { recursive: true, force: true })
  })

  /** A tab with a page; what it throws and logs as an error is collected. */
  async function open(address: string, width = 1400): Promise<{ page: Page; failures: string[] }> {
    const page = await browser.newPage({ viewport: { width, height: 900 }, reducedMotion: 'reduce' })
    // The limit of the test holds.
    page.setDefaultTimeout(0)
    const failures: string[] = []
    page.on('pageerror', error => failures.push(error.message))
    page.on('console', message => message.type() === 'error' && failures.push(message.text()))
    await page.goto(address)
    return { page, failures }
  }

  async function answerTo(image: number, setting: Setting): Promise<readonly number[]> {
    const [answer] = await explorer.ask({ ask: 'answers', network: 0, images: [image], setting })
    return (answer as ImageAnswer).probabilities
  }
  const probabilities = async (page: Page) =>
    JSON.parse((await page.locator('.x-verdict').getAttribute('data-probabilities')) ?? '[]') as number[]
  const verdict = (page: Page, text: string) => page.locator('.x-verdict', { hasText: text })
  const isWithin = (page: Page) =>
    page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth)

  test('shows what the network says while L changes and an expert is off', async () => {
    const { page, failures } = await open(server.address)
    await verdict(page, ', as trained.').waitFor()
    expect(await probabilities(page)).toEqual(await answerTo(0, {}))
    // Two experts, two patches each, on the photograph and one tile an expert: a dark and a bright line around each.
    await expect.poll(() => page.locator('.x-stage rect').count()).toBe(8)
    await page.getByRole('slider').fill('7')
    await verdict(page, ', with 7 patches per expert.').waitFor()
    const asked = await answerTo(0, { patchesPerExpert: 7 })
    expect(await probabilities(page)).toEqual(asked)
    expect(asked).not.toEqual(await answerTo(0, {}))
    expect(await page.locator('.x-stage rect').count()).toBe(28)
    await page.getByRole('switch', { name: 'expert 2 is on' }).uncheck()
    await verdict(page, 'with 7 patches per expert and with 1 expert off.').waitFor()
    const off = [{ mixture: 'mixture', expert: 1 }]
    expect(await probabilities(page)).toEqual(await answerTo(0, { patchesPerExpert: 7, off }))
    await page.getByRole('button', { name: 'As trained' }).click()
    await verdict(page, ', as trained.').waitFor()
    await page.getByRole('button', { name: 'expert 1: draw its patches alone' }).click()
    await expect.poll(() => page.locator('.x-stage rect').count()).toBe(4)
    await page.getByText('What is lost without a patch').click()
    await page.locator('.x-stage text').first().waitFor()
    await page.getByRole('slider').fill('16')
    await page.getByText('keeps every patch').first().waitFor()
    expect(failures).toEqual([])
    await page.close()
  })

  test('counts confusions, opens their images, and tells what is no image as text', async () => {
    const { page, failures } = await open(server.address, 390)
    await page.getByRole('tab', { name: 'All images' }).click()
    const cell = page.locator('.x-confusion button').first()
    await cell.waitFor()
    const counts = await page.locator('.x-confusion button').allTextContents()
    expect(counts.reduce((sum, count) => sum + Number(count), 0)).toBe(9)
    expect(await page.getByText('1 image could not be read').count()).toBe(1)
    expect(await page.locator('li', { hasText: hostile }).count()).toBe(1)
    expect(await page.locator('img[src=x]').count()).toBe(0)
    expect(await isWithin(page)).toBe(true)
    const [row = '', column = ''] = ((await cell.getAttribute('aria-label')) ?? '').split(/ taken for |: /)
    await cell.click()
    await page.getByRole('heading', { name: `${row} taken for ${column}` }).waitFor()
    const first = page.locator('.x-gallery button').first()
    const name = (await first.getAttribute('title'))?.split(', ')[0] ?? ''
    expect(name.startsWith(`${row}/`)).toBe(true)
    await first.click()
    await verdict(page, ', as trained.').waitFor()
    expect(await page.getByRole('tab', { name: 'One image' }).getAttribute('aria-selected')).toBe('true')
    expect(await page.locator('.x-stage img').getAttribute('alt')).toBe(name)
    await page.getByRole('switch', { name: 'expert 1 is on' }).uncheck()
    await page.getByRole('tab', { name: 'All images' }).click()
    await page.getByText(/^(Answers that change: |No image changes its answer)/).waitFor()
    await page.getByRole('tab', { name: 'Both networks' }).click()
    await page.getByText(/^They differ in \d+ of 9 images\. 1 image could not be read: .*onerror/).waitFor()
    expect(await page.getByRole('row', { name: 'second: small' }).count()).toBe(1)
    expect(failures).toEqual([])
    await page.close()
  })

  test('is used by keyboard', async () => {
    const { page, failures } = await open(server.address)
    await verdict(page, ', as trained.').waitFor()
    await page.getByRole('tab', { name: 'One image' }).focus()
    await page.keyboard.press('ArrowRight')
    const box = page.getByRole('button', { name: /^PatchMoE, 2 experts/ })
    await box.focus()
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'mixture' }).waitFor()
    await page.keyboard.press('Shift+Tab')
    await page.getByRole('tab', { name: 'Network', exact: true }).focus()
    await page.keyboard.press('ArrowLeft')
    await page.locator('.x-strip button').first().focus()
    await page.keyboard.press('ArrowRight')
    await page.locator(`.x-stage img[alt="${files.names[1]}"]`).waitFor()
    // Every control has a name.
    const nameless = await page.evaluate(() =>
      [...document.querySelectorAll('button, input, [role=button]')]
        .filter(control => {
          const { ariaLabel, textContent } = control as HTMLElement
          const labels = (control as HTMLInputElement).labels ?? []
          return !ariaLabel && !textContent?.trim() && labels.length === 0
        })
        .map(control => control.outerHTML),
    )
    expect(nameless).toEqual([])
    expect(failures).toEqual([])
    await page.close()
  })

  describe('by itself', () => {
    let site: Server
    let address: string

    beforeAll(async () => {
      const folder = join(files.root, 'site')
      await buildDroppedExplorer(folder)
      const types: Record<string, string> = {
        '.html': 'text/html',
        '.js': 'text/javascript',
        '.wasm': 'application/wasm',
      }
      site = createServer(async ({ url = '/' }, response) => {
        const path = join(folder, url === '/' ? 'index.html' : url)
        response.setHeader('content-type', types[extname(path)] ?? 'text/plain')
        response.end(await readFile(path).catch(() => response.writeHead(404) && ''))
      })
      await new Promise<void>(resolve => site.listen(0, '127.0.0.1', resolve))
      address = `http://127.0.0.1:${(site.address() as AddressInfo).port}/`
    })
    afterAll(() => site?.close())

    test('computes dropped networks and images in the page, and says what is no network', async () => {
      const { page, failures } = await open(address)
      const choose = (name: string, paths: string | readonly string[]) =>
        page.locator('label', { hasText: name }).locator('input').setInputFiles(paths)
      await page.getByText('Nothing leaves this page').waitFor()
      const model = (name: string) => join(files.modelFolder, name)
      await choose('Choose the files of a network', [model('model.json')])
      await page.getByText('model.json: weights must come with it, got no file weights.bin').waitFor()
      await choose('Choose the files of a network', [model('weights.bin')])
      await page.getByText('network must come with its model.json, got weights.bin').waitFor()
      await choose('Choose the files of a network', [model('model.json'), model('weights.bin')])
      await page.getByText('2 experts, each keeps 2 of 16 patches').first().waitFor()
      await choose('Choose a folder of images', files.images)
      // The first by its name is no image.
      await page.getByText('must be an image that the browser can show, got 8 bytes that are none').waitFor()
      const images = await page
        .locator('.x-strip button')
        .evaluateAll(buttons => buttons.map(button => button.getAttribute('title') ?? ''))
      const name = 'images/blue/0.png'
      const place = images.indexOf(name)
      await page.locator('.x-strip button').nth(place).click()
      await page.locator(`.x-stage img[alt="${name}"]`).waitFor()
      const expected = await answerTo(files.names.indexOf('blue/0.png'), {})
      await expect.poll(async () => (await probabilities(page))[0]).toBeCloseTo(expected[0] as number, 4)
      await page.getByRole('slider').fill('5')
      await verdict(page, ', with 5 patches per expert.').waitFor()
      const fewer = await answerTo(files.names.indexOf('blue/0.png'), { patchesPerExpert: 5 })
      expect((await probabilities(page))[1]).toBeCloseTo(fewer[1] as number, 4)
      await page.getByRole('tab', { name: 'All images' }).click()
      await page.locator('.x-confusion button').first().waitFor()
      const counts = await page.locator('.x-confusion button').allTextContents()
      expect(counts.reduce((sum, count) => sum + Number(count), 0)).toBe(9)
      await page.getByText('1 image could not be read').waitFor()
      expect(failures).toEqual([])
      await page.close()
    })
  })
})
