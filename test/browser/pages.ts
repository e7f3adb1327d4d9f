import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type * as core from '@tensorflow/tfjs-core'
import type * as layers from '@tensorflow/tfjs-layers'
import { build } from 'esbuild'
import { type Browser, chromium, type Page } from 'playwright-core'
import type * as library from '../../src/index.js'
import { buildForBrowsers } from '../../tools/browser-modules.js'
import { chromiumPath } from './chromium.js'
import type * as trainingJob from './training-job.js'

const modules = fileURLToPath(new URL('../../node_modules/@tensorflow', import.meta.url))
const types: Record<string, string> = {
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
}

// tfjs's wasm backend names modules of Node that it does not use in a page.
const nothing = 'data:text/javascript,export default {}'
const backends = ['cpu', 'wasm', 'webgl', 'webgpu'] as const
type BackendPackage = (typeof backends)[number]

/** A page without a bundler that knows tfjs, some of its backends and this package; `globalThis.page` has them once it is loaded. */
const page = (mapped: readonly BackendPackage[]) => `<!doctype html>
<link rel="icon" href="data:,">
<script type="importmap">
${JSON.stringify({
  imports: {
    '@tensorflow/tfjs-core': '/tensorflow/tfjs-core/dist/tf-core.fesm.js',
    '@tensorflow/tfjs-layers': '/tensorflow/tfjs-layers/dist/tf-layers.fesm.js',
    'patch-moe': '/patch-moe/patch-moe.js',
    ...Object.fromEntries(
      mapped.map(name => [
        `@tensorflow/tfjs-backend-${name}`,
        `/tensorflow/tfjs-backend-${name}/dist/tf-backend-${name}.fesm.js`,
      ]),
    ),
    ...Object.fromEntries(['fs', 'path', 'perf_hooks', 'os'].map(name => [name, nothing])),
  },
})}
</script>
<script type="module">
import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import * as patchMoE from 'patch-moe'
import * as job from '/patch-moe/training-job.js'
globalThis.page = { tf, tfl, patchMoE, job }
</script>`

/** What such a page has for its tests. */
export interface PageModules {
  readonly page: {
    readonly tf: typeof core
    readonly tfl: typeof layers
    readonly patchMoE: typeof library
    readonly job: typeof trainingJob
  }
}

/** Builds this package, and what pages are given to do, into a folder. */
export async function builtModules(folder: string): Promise<string> {
  await buildForBrowsers(folder)
  const job = fileURLToPath(new URL('training-job.ts', import.meta.url))
  await build({ entryPoints: [job], outdir: folder, logLevel: 'warning' })
  return folder
}

/** A server of such pages. */
export interface PageServer {
  /** With all backends. */
  readonly address: string
  /** With all backends, cross-origin isolated. */
  readonly isolated: string
  /** With the backends cpu and wasm alone. */
  readonly fewBackends: string
  close(): void
}

/** Serves pages with the modules that were built into a folder. */
export async function servePages(built: string): Promise<PageServer> {
  const server: Server = createServer(async ({ url = '/' }, response) => {
    const [, folder = '', ...rest] = url.split('/')
    if (folder === 'isolated') {
      response.setHeader('Cross-Origin-Opener-Policy', 'same-origin')
      response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp')
    }
    const isPage = rest.length === 0
    response.setHeader('Content-Type', isPage ? 'text/html' : (types[extname(url)] ?? 'text/plain'))
    if (isPage) return response.end(page(folder === 'few' ? ['cpu', 'wasm'] : backends))
    const file = join(folder === 'tensorflow' ? modules : built, ...rest)
    return response.end(await readFile(file).catch(() => response.writeHead(404) && ''))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    address: `${address}/`,
    isolated: `${address}/isolated`,
    fewBackends: `${address}/few`,
    close: () => server.close(),
  }
}

/**
 * A browser whose pages have a WebGL and a WebGPU that compute on the processor, and in which insecure.test is this computer, under a
 * name that is not secure.
 */
export function launchChromium(): Promise<Browser> {
  const args = [
    '--no-sandbox',
    '--use-angle=swiftshader',
    '--enable-unsafe-swiftshader',
    '--enable-unsafe-webgpu',
    '--host-resolver-rules=MAP insecure.test 127.0.0.1',
  ]
  return chromium.launch({ executablePath: chromiumPath as string, args, timeout: 0 })
}

/** A new tab with a page whose modules are loaded; what it throws and logs as an error is collected. */
export async function openPage(
  browser: Browser,
  address: string,
): Promise<{ tab: Page; failures: string[] }> {
  const tab = await browser.newPage()
  // The limit of the test holds.
  tab.setDefaultTimeout(0)
  const failures: string[] = []
  tab.on('pageerror', error => failures.push(error.message))
  tab.on('console', message => message.type() === 'error' && failures.push(message.text()))
  await tab.goto(address)
  await tab.waitForFunction(() => 'page' in globalThis)
  return { tab, failures }
}
