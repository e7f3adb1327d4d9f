import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { beforeAll, describe, expect, test } from 'vitest'
import { patchMoE } from '../../src/layers/moe/patch-moe.js'
import { train } from '../../src/train/loop.js'
import { useTestBackend } from '../backend-under-test.js'
import { chromiumPath } from './chromium.js'
import { openPage, type PageModules } from './pages.js'
import { useSite } from './site.js'
import { fitSmallMixture, trainSmallMixture } from './training-job.js'

if (!chromiumPath)
  console.log('Chromium is not installed (CHROMIUM may name it): no page without a bundler is tried.')

describe.skipIf(!chromiumPath)('a page without a bundler', () => {
  const site = useSite()

  let trained: readonly number[] = []
  let fitted: readonly number[] = []
  beforeAll(async () => {
    await useTestBackend()
    const modules = { tf, tfl, patchMoE, train }
    trained = await trainSmallMixture(modules)
    fitted = await fitSmallMixture(modules)
  })

  test.each(['wasm', 'webgl-software', 'webgpu-software'] as const)(
    'trains on %s from an import map, to the numbers of Node',
    async backend => {
      const { tab, failures } = await openPage(site.browser, site.server.address)
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
