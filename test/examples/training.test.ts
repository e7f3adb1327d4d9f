import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chromiumPath } from '../browser/chromium.js'
import { launchChromium } from '../browser/pages.js'
import { startProcess } from '../child-processes.js'

if (!chromiumPath)
  console.log(
    'Chromium is not installed (CHROMIUM may name it): the page that trains is not tried in a browser.',
  )

const project = fileURLToPath(new URL('../..', import.meta.url))
const examples = join(project, 'examples', 'training')
/** Beside the packages that the example imports. */
const bundled = join(project, 'node_modules', '.cache', `train-${process.pid}.mjs`)

let inNode: number[]

/** The losses that the example of Node prints. */
async function lossesInNode(backend: string, options: readonly string[] = []): Promise<number[]> {
  const flags = ['--backend', backend, '--epochs', '2', '--samples', '60', ...options]
  const { code, out, err } = await startProcess(process.execPath, [bundled, ...flags]).finished
  expect([code, err]).toEqual([0, ''])
  return [...out.matchAll(/^epoch \d+ {2}loss (\S+) {2}test accuracy \S+ %$/gm)].map(([, loss]) =>
    Number(loss),
  )
}

beforeAll(async () => {
  await build({
    entryPoints: [join(examples, 'train.mjs')],
    outfile: bundled,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    // What the package says of side effects is of its compiled files.
    ignoreAnnotations: true,
    alias: {
      'patch-moe/node': join(project, 'src', 'node.ts'),
      'patch-moe/data': join(project, 'src', 'data', 'index.ts'),
      'patch-moe': join(project, 'src', 'index.ts'),
    },
  })
  inNode = await lossesInNode('wasm')
})
afterAll(() => rm(bundled, { force: true }))

test('one program trains in Node on the backend of a flag', async () => {
  expect(inNode).toHaveLength(2)
  expectSame(await lossesInNode('cpu'), inNode)
  const { code, err } = await startProcess(process.execPath, [bundled, '--backend', 'abacus']).finished
  expect(code).toBe(1)
  expect(err).toContain('useBackend: name must be auto, ')
})

describe.skipIf(!chromiumPath)('the page that trains', () => {
  let browser: Browser
  let address: string

  beforeAll(async () => {
    const env = { PATCH_MOE: join(project, 'src') }
    const server = startProcess(process.execPath, [join(examples, 'serve.mjs'), '0'], { env })
    address = (await server.line(/^Open /)).replace('Open ', '')
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  test('trains on each backend to the losses of Node, and shows them side by side', async () => {
    const page = await browser.newPage({ viewport: { width: 390, height: 844 } })
    // The limit of the test holds.
    page.setDefaultTimeout(0)
    const failures: string[] = []
    page.on('pageerror', error => failures.push(error.message))
    page.on('console', message => message.type() === 'error' && failures.push(message.text()))
    await page.goto(`${address}/?epochs=2&samples=60`)
    await page.getByRole('button', { name: 'WebGPU' }).click()
    await page.getByText(/^useBackend: backend webgpu must be available, got: the only adapter/).waitFor()
    await page.getByRole('checkbox').check()
    const backends = ['wasm', 'cpu', 'webgpu', 'webgl']
    for (const [i, backend] of backends.entries()) {
      await page.locator(`[data-backend=${backend}]`).click()
      await page.waitForFunction(
        done => document.body.dataset.done === done || document.getElementById('problem')?.textContent,
        backends.slice(0, i + 1).join(' '),
      )
      expect(await page.locator('#problem').textContent()).toBe('')
    }
    const rows = await page
      .locator('#losses tr')
      .evaluateAll(shown => shown.map(row => [...row.children].map(cell => cell.textContent ?? '')))
    expect(rows[0]).toEqual(['epoch', ...backends])
    for (const [column] of backends.entries())
      expectSame(
        rows.slice(1, 3).map(row => Number(row[column + 1])),
        inNode,
      )
    expect(await page.locator('polyline').count()).toBe(4)
    expect(await page.locator('#difference').textContent()).toMatch(
      /wasm, cpu, webgpu, webgl: \d\.\de-[5-9]\.$|: 0e\+0\.$/,
    )
    // Nothing is wider than the screen.
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390)
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true)
    expect(failures).toEqual([])
    await page.close()
  })

  test('serves nothing but its own files', async () => {
    for (const path of [
      'digits8/../manifest.json',
      'wasm/..%2f..%2fpackage.json',
      'constructor/name',
      'nothing',
    ])
      expect((await fetch(`${address}/${path}`)).status).toBe(404)
    expect((await fetch(`${address}/digits8/train-labels-idx1-ubyte.gz`, { method: 'HEAD' })).status).toBe(
      200,
    )
  })
})

/** Losses equal to 1e-4. */
function expectSame(are: readonly number[], should: readonly number[]): void {
  expect(are).toHaveLength(should.length)
  are.forEach((loss, i) => {
    expect(Math.abs(loss - (should[i] as number))).toBeLessThan(1e-4)
  })
}
