import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type * as tf from '@tensorflow/tfjs'
import { build } from 'esbuild'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tfjs } from '../../scripts/run/export-formats/tfjs.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { useTestBackend } from '../backend-under-test.js'
import { noise, trained } from '../export/exported-models.js'
import { chromiumPath } from './chromium.js'
import type { answersOf } from './float16-job.js'

if (!chromiumPath)
  console.log('Chromium is not installed (CHROMIUM may name it): no float16 model is opened in a page.')

const job = fileURLToPath(new URL('float16-job.ts', import.meta.url))

describe.skipIf(!chromiumPath)('a tfjs export of float16 in a page', () => {
  let folder: string
  let server: Server
  let browser: Browser
  let model: tf.LayersModel

  beforeAll(async () => {
    await useTestBackend()
    folder = await mkdtemp(join(tmpdir(), 'float16-page-'))
    const pmoe = { numExperts: 2, patchesPerExpert: 3, patchSize: 2 }
    model = trained(wideResNet({ inputShape: [16, 16, 3], numClasses: 3, widenFactor: 1, pmoe }))
    await tfjs.write(model, folder, { facts: {}, quantize: 'float16' })
    const options = {
      bundle: true,
      ignoreAnnotations: true,
      format: 'iife',
      platform: 'browser',
      logLevel: 'warning',
    } as const
    await build({ ...options, entryPoints: [job], outfile: join(folder, 'job.js') })
    server = createServer(async ({ url = '/' }, response) => {
      response.setHeader('Content-Type', url === '/' ? 'text/html' : 'application/octet-stream')
      if (url.endsWith('.js')) response.setHeader('Content-Type', 'text/javascript')
      response.end(
        url === '/' ? '<script src="job.js"></script>' : await readFile(join(folder, url)).catch(() => ''),
      )
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    // Without a graphics card Chromium computes WebGL and WebGPU on the processor.
    const args = [
      '--no-sandbox',
      '--use-gl=angle',
      '--use-angle=swiftshader',
      '--enable-unsafe-swiftshader',
      '--enable-unsafe-webgpu',
    ]
    browser = await chromium.launch({ executablePath: chromiumPath as string, args })
  })

  afterAll(async () => {
    await browser?.close()
    server?.close()
    await rm(folder, { recursive: true, force: true })
  })

  test.each(['webgl', 'webgpu'] as const)(
    'answers on %s as the network that it was made of, by layers and frozen',
    async backend => {
      const x = noise([null, 16, 16, 3], 1, 1)
      const own = [...(model.predict(x) as tf.Tensor).dataSync()]
      const tab = await browser.newPage()
      await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
      const told = await tab.evaluate(
        async ({ image, name }) =>
          (globalThis as unknown as { answersOf: typeof answersOf }).answersOf(
            name,
            'model.json',
            image,
            [16, 16, 3],
          ),
        { image: [...x.dataSync()], name: backend },
      )
      expect(told.backend).toBe(backend)
      for (const answers of [told.layers, told.frozen]) {
        expect(answers).toHaveLength(3)
        // Eleven bits keep about three digits of each weight.
        answers.forEach((answer, i) => {
          expect(Math.abs(answer - own[i]!)).toBeLessThan(0.01)
        })
      }
    },
  )
})
