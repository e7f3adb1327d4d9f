import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { explain } from '../../src/explain/explain.js'
import { readImage } from '../../src/files/images/image-files.js'
import { useTestBackend } from '../backend-under-test.js'
import { chromiumPath } from '../browser/chromium.js'
import { launchChromium } from '../browser/pages.js'
import { startProcess } from '../child-processes.js'
import { smallModel } from './small-model.js'

if (!chromiumPath)
  console.log('Chromium is not installed (CHROMIUM may name it): the page is not tried in a browser.')

describe.skipIf(!chromiumPath)('the page of the examples', () => {
  let browser: Browser
  let address: string
  let small: Awaited<ReturnType<typeof smallModel>>

  beforeAll(async () => {
    await useTestBackend()
    small = await smallModel()
    const project = fileURLToPath(new URL('../..', import.meta.url))
    const script = join(project, 'examples', 'browser', 'serve.mjs')
    const env = { PATCH_MOE: join(project, 'src', 'index.ts') }
    const server = startProcess(process.execPath, [script, small.folder, '0'], { env })
    address = (await server.line(/^Open /)).replace('Open ', '')
    browser = await launchChromium()
  })
  afterAll(async () => {
    await browser?.close()
    if (small) await rm(small.root, { recursive: true, force: true })
  })

  test.each(['webgl-software', 'webgpu-software', 'wasm'])('on %s it sees what Node sees', async backend => {
    const page = await browser.newPage()
    // The limit of the test holds.
    page.setDefaultTimeout(0)
    const failures: string[] = []
    page.on('pageerror', error => failures.push(error.message))
    await page.goto(`${address}?backend=${backend}`)
    await page.getByText(`Ready, on ${backend}.`).waitFor()
    const [image = ''] = small.images
    await page.setInputFiles('#file', image)
    const verdict = page.locator('#verdict[data-probabilities]')
    await verdict.waitFor()
    const shown = JSON.parse((await verdict.getAttribute('data-probabilities')) ?? '[]') as number[]
    const patches = JSON.parse((await verdict.getAttribute('data-patches')) ?? '[]') as number[][]
    const [expected] = (
      await explain(small.model, await readImage(image, [16, 16, 3]), [16, 16, 3], { sensitivity: false })
    ).images
    expect(shown).toHaveLength(3)
    shown.forEach((value, i) => {
      expect(value).toBeCloseTo(expected?.probabilities[i] ?? Number.NaN, 3)
    })
    expect(patches.map(kept => new Set(kept))).toEqual(expected?.experts.map(kept => new Set(kept.patches)))
    expect(await page.locator('#tiles figure').count()).toBe(3)
    await page.setInputFiles('#file', {
      name: 'text.png',
      mimeType: 'image/png',
      buffer: Buffer.from('no image'),
    })
    await page.getByText(/^text\.png: /).waitFor()
    expect(failures).toEqual([])
    await page.close()
  })
})
