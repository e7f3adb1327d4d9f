import { readFileSync } from 'node:fs'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, context } from 'esbuild'
import { describe, expect, test } from 'vitest'
import { buildWithTfjs } from '../../tools/browser-modules.js'
import { chromiumPath } from '../browser/chromium.js'
import { launchChromium } from '../browser/pages.js'
import { startProcess } from '../child-processes.js'

if (!chromiumPath)
  console.log(
    "Chromium is not installed (CHROMIUM may name it): the README's page without a bundler is not opened.",
  )

const root = fileURLToPath(new URL('../..', import.meta.url))
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const block = (language: string) =>
  new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(readme)?.[1] ?? ''

describe('the README', () => {
  test('is short, shows a picture and begins with how the project is run and tested', () => {
    expect(readme.split('\n').length).toBeLessThanOrEqual(151)
    expect(readme.match(/^!\[[^\]]+\]\(docs\/[\w-]+\.png\)$/gm)).toHaveLength(1)
    const ci = readFileSync(join(root, '.ci/run'), 'utf8')
    const [, ...commands] =
      /^(npm ci && npm start)$[\s\S]*?^(npm ci && .* npm test)$/m.exec(block('sh')) ?? []
    expect(commands).toHaveLength(2)
    expect(ci.split('\n')).toContain(commands[1])
  })

  test('has an example that trains as it is printed', async () => {
    const example = join(root, 'node_modules', '.cache', `readme-${process.pid}.mjs`)
    try {
      await build({
        stdin: { contents: block('js'), resolveDir: root },
        outfile: example,
        bundle: true,
        platform: 'node',
        format: 'esm',
        packages: 'external',
        // What the package says of side effects is of its compiled files.
        ignoreAnnotations: true,
        alias: { 'patch-moe/node': join(root, 'src/node.ts'), 'patch-moe': join(root, 'src/index.ts') },
      })
      const { code, out, err } = await startProcess(process.execPath, [example]).finished
      expect([code, err]).toEqual([0, ''])
      const [backend, ...epochs] = out.trim().split('\n')
      expect(['wasm', 'tensorflow', 'tensorflow-gpu']).toContain(backend)
      expect(epochs).toHaveLength(20)
      // Guessing gives 0.5, and the dense network of this size 0.85.
      expect(Number(epochs.at(-1)?.split(' ')[1])).toBeGreaterThan(0.88)
    } finally {
      await rm(example, { force: true })
    }
  })

  test.skipIf(!chromiumPath)('has three lines for a page without a bundler', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'readme-page-'))
    const server = await context({})
    const browser = await launchChromium()
    try {
      const modules = join(folder, 'node_modules')
      await buildWithTfjs(join(modules, 'patch-moe/dist/browser'))
      const wasm = dirname(fileURLToPath(import.meta.resolve('@tensorflow/tfjs-backend-wasm')))
      const wasmFiles = { recursive: true, filter: (path: string) => path === wasm || path.endsWith('.wasm') }
      await cp(wasm, join(modules, '@tensorflow/tfjs-backend-wasm/dist'), wasmFiles)
      const sum =
        'patchMoE({ filters: 2, numExperts: 2, patchesPerExpert: 1, patchSize: 2 }).apply(tf.ones([1, 4, 4, 1]))'
      const use = `globalThis.seen = [tf.getBackend(), ${sum}.shape, typeof tfl.sequential, typeof train]`
      await writeFile(join(folder, 'index.html'), block('html').replace('</script>', `${use}\n</script>`))
      const { port } = await server.serve({ servedir: folder, host: '127.0.0.1', port: 0 })
      const tab = await browser.newPage()
      tab.setDefaultTimeout(0)
      await tab.goto(`http://127.0.0.1:${port}/`)
      await tab.waitForFunction(() => 'seen' in globalThis)
      const seen = await tab.evaluate(() => (globalThis as unknown as { seen: unknown }).seen)
      expect(seen).toEqual(['wasm', [1, 4, 4, 2], 'function', 'function'])
    } finally {
      await browser.close()
      await server.dispose()
      await rm(folder, { recursive: true, force: true })
    }
  })
})
