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
import { patchMoE } from '../../src/layers/moe/patch-moe.js'
import { train } from '../../src/train/loop.js'
import { buildForBrowsers } from '../../tools/browser-modules.js'
import { useTestBackend } from '../backend-under-test.js'
import { chromiumPath } from './chromium.js'
import { fitSmallMixture, trainSmallMixture } from './training-job.js'

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

/** What a page does before it trains. */
const preparations = {
  wasm: `
    import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm'
    import { registerWasmKernels } from 'patch-moe'
    setWasmPaths('/tensorflow/tfjs-backend-wasm/dist/')
    await tf.setBackend('wasm')
    registerWasmKernels()`,
  webgl: `
    import '@tensorflow/tfjs-backend-webgl'
    await tf.setBackend('webgl')`,
  webgpu: `
    import '@tensorflow/tfjs-backend-webgpu'
    import { registerWebGpuKernels } from 'patch-moe'
    await tf.setBackend('webgpu')
    registerWebGpuKernels()`,
}
type PageBackend = keyof typeof preparations

const page = (backend: PageBackend) => `<!doctype html>
<link rel="icon" href="data:,">
<script type="importmap">
{ "imports": {
  "@tensorflow/tfjs-core": "/tensorflow/tfjs-core/dist/tf-core.fesm.js",
  "@tensorflow/tfjs-layers": "/tensorflow/tfjs-layers/dist/tf-layers.fesm.js",
  "@tensorflow/tfjs-backend-${backend}": "/tensorflow/tfjs-backend-${backend}/dist/tf-backend-${backend}.fesm.js",
  "patch-moe": "/patch-moe/patch-moe.js",
  "fs": "${nothing}", "path": "${nothing}", "perf_hooks": "${nothing}", "os": "${nothing}"
} }
</script>
<script type="module">
import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { patchMoE, train } from 'patch-moe'
import { fitSmallMixture, trainSmallMixture } from '/patch-moe/training-job.js'
${preparations[backend]}
const modules = { tf, tfl, patchMoE, train }
const trained = await trainSmallMixture(modules)
// On WebGPU, fit waits for the device in a way that loses one in software.
window.losses = { trained, fitted: ${backend === 'webgpu' ? 'undefined' : 'await fitSmallMixture(modules)'} }
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
      const isPage = folder in preparations
      response.setHeader('Content-Type', types[isPage ? '.html' : extname(url)] ?? 'text/plain')
      const file = join(folder === 'tensorflow' ? modules : outdir, ...rest)
      if (isPage) response.end(page(folder as PageBackend))
      else response.end(await readFile(file).catch(() => response.writeHead(404) && ''))
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    // The second and third give pages a WebGL and a WebGPU that compute on the processor.
    const args = ['--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-webgpu']
    browser = await chromium.launch({ executablePath: chromiumPath as string, args })
  })

  afterAll(async () => {
    await browser?.close()
    server?.close()
    await rm(outdir, { recursive: true, force: true })
  })

  test.each(['wasm', 'webgl', 'webgpu'] as const)(
    'trains on %s from an import map, to the numbers of Node',
    async backend => {
      const modules = { tf, tfl, patchMoE, train }
      const [trained, fitted] = [await trainSmallMixture(modules), await fitSmallMixture(modules)]
      const tab = await browser.newPage()
      const failures: string[] = []
      tab.on('pageerror', error => failures.push(error.message))
      tab.on('console', message => message.type() === 'error' && failures.push(message.text()))
      await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/${backend}`)
      const losses = await Promise.race([
        tab
          .waitForFunction(() => (globalThis as { losses?: unknown }).losses, undefined, { timeout: 0 })
          .then(found => found.jsonValue()),
        tab.waitForEvent('pageerror', { timeout: 0 }).then(error => Promise.reject(error)),
      ])
      expect(failures).toEqual([])
      const there = losses as { readonly trained: number[]; readonly fitted?: number[] }
      expectClose(there.trained, trained)
      if (backend !== 'webgpu') expectClose(there.fitted ?? [], fitted)
      expect(there.trained[2]).toBeLessThan(there.trained[0] as number)
      await tab.close()
    },
  )
})

/** Three losses, equal to 1e-4. */
function expectClose(are: readonly number[], should: readonly number[]): void {
  expect(are).toHaveLength(3)
  expect(are.map((loss, i) => Math.abs(loss - (should[i] as number)) < 1e-4)).toEqual([true, true, true])
}
