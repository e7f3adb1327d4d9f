import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { patchMoE } from '../../src/layers/moe/patch-moe.js'
import { train } from '../../src/train/loop.js'
import { useTestBackend } from '../backend-under-test.js'
import { chromiumPath } from './chromium.js'
import {
  builtModules,
  launchChromium,
  openPage,
  type PageModules,
  type PageServer,
  servePages,
} from './pages.js'
import { fitSmallMixture, trainSmallMixture } from './training-job.js'

if (!chromiumPath)
  console.log('Chromium is not installed (CHROMIUM may name it): no page without a bundler is tried.')

describe.skipIf(!chromiumPath)('a page without a bundler', () => {
  let folder: string
  let server: PageServer
  let browser: Browser

  beforeAll(async () => {
    await useTestBackend()
    folder = await mkdtemp(join(tmpdir(), 'browser-modules-'))
    server = await servePages(await builtModules(folder))
    browser = await launchChromium()
  })

  afterAll(async () => {
    await browser?.close()
    server?.close()
    await rm(folder, { recursive: true, force: true })
  })

  test.each(['wasm', 'webgl-software', 'webgpu-software'] as const)(
    'trains on %s from an import map, to the numbers of Node',
    async backend => {
      const modules = { tf, tfl, patchMoE, train }
      const [trained, fitted] = [await trainSmallMixture(modules), await fitSmallMixture(modules)]
      const { tab, failures } = await openPage(browser, server.address)
      const there = await tab.evaluate(async name => {
        const { tf, tfl, patchMoE, job } = (globalThis as unknown as PageModules).page
        await patchMoE.useBackend(name, { wasmPaths: '/tensorflow/tfjs-backend-wasm/dist/' })
        const modules = { tf, tfl, ...patchMoE }
        const trained = await job.trainSmallMixture(modules)
        // On WebGPU, fit waits for the device in a way that loses one in software.
        return { trained, fitted: name === 'webgpu-software' ? [] : await job.fitSmallMixture(modules) }
      }, backend)
      await tab.close()
      expect(failures).toEqual([])
      expectClose(there.trained, trained)
      if (backend !== 'webgpu-software') expectClose(there.fitted, fitted)
      expect(there.trained[2]).toBeLessThan(there.trained[0] as number)
    },
  )
})

/** Three losses, equal to 1e-4. */
function expectClose(are: readonly number[], should: readonly number[]): void {
  expect(are).toHaveLength(3)
  expect(are.map((loss, i) => Math.abs(loss - (should[i] as number)) < 1e-4)).toEqual([true, true, true])
}
