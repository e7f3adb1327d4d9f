import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { build } from 'esbuild'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { patchMoE } from '../../src/layers/patch-moe.js'
import { train } from '../../src/train/loop.js'
import { buildForBrowsers } from '../../tools/browser-modules.js'
import { useTestBackend } from '../backend-under-test.js'
import { chromiumPath } from './chromium.js'
import { trainSmallMixture } from './training-job.js'

if (!chromiumPath)
  console.log('Chromium is not installed (CHROMIUM may name it): no page without a bundler is tried.')

const job = fileURLToPath(new URL('training-job.ts', import.meta.url))
const modules = fileURLToPath(new URL('../../node_modules/@tensorflow', import.meta.url))
const types: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
}

// tfjs's wasm backend names modules of Node that it does not use in a page.
const nothing = 'data:text/javascript,export default {}'
const page = `<!doctype html>
<link rel="icon" href="data:,">
<script type="importmap">
{ "imports": {
  "@tensorflow/tfjs-core": "/tensorflow/tfjs-core/dist/tf-core.fesm.js",
  "@tensorflow/tfjs-layers": "/tensorflow/tfjs-layers/dist/tf-layers.fesm.js",
  "@tensorflow/tfjs-backend-wasm": "/tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.fesm.js",
  "patch-moe": "/patch-moe/patch-moe.js",
  "fs": "${nothing}", "path": "${nothing}", "perf_hooks": "${nothing}", "os": "${nothing}"
} }
</script>
<script type="module">
import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm'
import { patchMoE, registerWasmKernels, train } from 'patch-moe'
import { trainSmallMixture } from '/patch-moe/training-job.js'

setWasmPaths('/tensorflow/tfjs-backend-wasm/dist/')
await tf.setBackend('wasm')
registerWasmKernels()
window.losses = await trainSmallMixture({ tf, tfl, patchMoE, train })
</script>`

describe.skipIf(!chromiumPath)('a page without a bundler', () => {
  let outdir: string
  let server: Server
  let browser: Browser

  beforeAll(async () => {
    await useTestBackend()
    outdir = await mkdtemp(join(tmpdir(), 'browser-modules-'))
    await buildForBrowsers(outdir)
    await build({ entryPoints: [job], outdir, logLevel: 'warning' })
    server = createServer(async ({ url = '/' }, response) => {
      const [, folder = '', ...rest] = url.split('/')
      response.setHeader('Content-Type', types[url === '/' ? '.html' : extname(url)] ?? 'text/plain')
      const file = join(folder === 'tensorflow' ? modules : outdir, ...rest)
      response.end(url === '/' ? page : await readFile(file).catch(() => response.writeHead(404) && ''))
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    browser = await chromium.launch({ executablePath: chromiumPath as string, args: ['--no-sandbox'] })
  })

  afterAll(async () => {
    await browser?.close()
    server?.close()
    await rm(outdir, { recursive: true, force: true })
  })

  test('trains on wasm from an import map, to the numbers of Node', async () => {
    const here = await trainSmallMixture({ tf, tfl, patchMoE, train })
    const tab = await browser.newPage()
    const failures: string[] = []
    tab.on('pageerror', error => failures.push(error.message))
    tab.on('console', message => message.type() === 'error' && failures.push(message.text()))
    await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
    const losses = await Promise.race([
      tab.waitForFunction(() => (globalThis as { losses?: unknown }).losses).then(found => found.jsonValue()),
      tab.waitForEvent('pageerror').then(error => Promise.reject(error)),
    ])
    expect(failures).toEqual([])
    const there = losses as typeof here
    for (const kind of ['trained', 'fitted'] as const) {
      expect(there[kind]).toHaveLength(3)
      there[kind].forEach((loss, i) => {
        expect(loss).toBeCloseTo(here[kind][i] as number, 5)
      })
    }
    expect(there.trained[2]).toBeLessThan(there.trained[0] as number)
    await tab.close()
  })
})
