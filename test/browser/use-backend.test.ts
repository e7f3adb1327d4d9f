import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import type { Page } from 'playwright-core'
import { beforeAll, describe, expect, test } from 'vitest'
import type * as library from '../../src/index.js'
import { patchMoE, predictProbabilities, train, useBackend } from '../../src/index.js'
import { useTestBackend } from '../backend-under-test.js'
import { chromiumPath } from './chromium.js'
import { openPage, type PageModules } from './pages.js'
import { useSite } from './site.js'
import { predictSmallMixture, trainSmallMixture } from './training-job.js'

if (!chromiumPath)
  console.log('Chromium is not installed (CHROMIUM may name it): no backend of a page is tried.')

test('in Node the function of a page names that of Node', async () => {
  await expect(useBackend('wasm')).rejects.toThrow(
    new Error('useBackend: it must be imported from patch-moe/node outside of pages, got patch-moe'),
  )
})

describe.skipIf(!chromiumPath)('useBackend in a page', () => {
  const site = useSite()
  let expected: number[]

  beforeAll(async () => {
    await useTestBackend()
    expected = await trainSmallMixture({ tf, tfl, patchMoE, train })
  })

  /** Asks for backends in one page, one after the other. */
  async function ask(address: string, names: readonly string[], options: library.WasmOptions = {}) {
    const { tab, failures } = await openPage(site.browser, address)
    const answers: string[] = []
    for (const name of names) answers.push(await answerOf(tab, name, options))
    await tab.close()
    return { answers, failures }
  }

  test('takes what the processor stands in for under its own name alone, and says what there is', async () => {
    const names = [
      'webgl',
      'webgpu',
      'webgl-float16',
      'webgl-software',
      'webgpu-software',
      'auto',
      'tensorflow',
    ]
    const { answers, failures } = await ask(site.server.address, names)
    const [webgl, webgpu, float16, ...others] = answers
    expect(webgl).toMatch(
      /^Error: useBackend: backend webgl must be available, got: WebGL computes on the processor, .*SwiftShader.* \(webgl-software takes it\)$/,
    )
    expect(webgpu).toBe(
      'Error: useBackend: backend webgpu must be available, got: the only adapter computes on the processor, google swiftshader (webgpu-software takes it)',
    )
    expect(float16).toMatch(/\(webgl-software takes it\)$/)
    expect(others[0]).toMatch(/^webgl-software on webgl: it was asked for; .*SwiftShader/)
    expect(others[1]).toBe('webgpu-software on webgpu: it was asked for; google swiftshader')
    expect(others[2]).toBe(
      'wasm on wasm: neither WebGPU nor WebGL computes on a GPU here; 1 thread, since the page is not cross-origin isolated',
    )
    expect(others[3]).toBe(
      'RangeError: useBackend: name must be auto, webgpu, webgpu-software, webgl, webgl-software, webgl-float16, wasm or cpu, got tensorflow',
    )
    expect(failures).toEqual([])
  })

  test('leaves what computes as it was where it refuses', async () => {
    const { tab } = await openPage(site.browser, site.server.address)
    const current = () => tab.evaluate(() => (globalThis as unknown as PageModules).page.tf.getBackend())
    const before = await current()
    for (const name of ['webgl', 'webgpu']) expect(await answerOf(tab, name)).toMatch(/^Error: useBackend: /)
    expect([before ?? '', await current()]).toEqual(['', before])
    await tab.evaluate(() => {
      const { gpu } = navigator as unknown as { gpu: object }
      Object.assign(gpu, { requestAdapter: async () => null })
    })
    await answerOf(tab, 'wasm')
    expect(await answerOf(tab, 'webgpu-software')).toBe(
      'Error: useBackend: backend webgpu-software must be available, got: WebGPU finds no adapter (on Linux: a driver of Vulkan and its loader, libvulkan1)',
    )
    expect(await current()).toBe('wasm')
    await tab.close()
  })

  test('tells the limits of the device', async () => {
    const { tab } = await openPage(site.browser, site.server.address)
    const adapters = await tab.evaluate(async () => {
      const { useBackend } = (globalThis as unknown as PageModules).page.patchMoE
      return [(await useBackend('webgpu-software')).adapter, (await useBackend('webgl-software')).adapter]
    })
    await tab.close()
    expect(adapters).toMatchObject([
      { isSoftware: true, float16: false, limits: { maxComputeWorkgroupSizeX: 256 } },
      { isSoftware: true, float16: false },
    ])
    expect(adapters[0]?.limits.maxBufferSize).toBeGreaterThanOrEqual(2 ** 28)
    expect(adapters[1]?.limits.MAX_TEXTURE_SIZE).toBeGreaterThanOrEqual(2048)
  })

  test('names a page that is not secure, packages that the page does not know, and files that are not there', async () => {
    const insecure = site.server.address.replace('127.0.0.1', 'insecure.test')
    const { answers } = await ask(insecure, ['webgpu'])
    expect(answers).toEqual([
      `Error: useBackend: backend webgpu must be available, got: a browser has WebGPU in secure pages alone, and ${insecure.slice(0, -1)} is none (https and localhost are)`,
    ])
    const few = await ask(site.server.fewBackends, ['webgl', 'webgpu-software'])
    expect(few.answers).toEqual(
      ['webgl', 'webgpu'].map(name =>
        expect.stringContaining(
          `got: @tensorflow/tfjs-backend-${name} cannot be imported: Failed to resolve`,
        ),
      ),
    )
    const { answers: lost } = await ask(site.server.fewBackends, ['wasm', 'wasm'], { wasmPaths: '/nowhere/' })
    expect(lost).toEqual([
      'Error: useBackend: backend wasm must be available, got: it does not start (wasmPaths says where the .wasm files of @tensorflow/tfjs-backend-wasm are)',
      'Error: useBackend: backend wasm must be available, got: it did not start before; the page has to be loaded again',
    ])
    const { answers: threads } = await ask(site.server.address, ['wasm'], { threads: 1.5 })
    expect(threads).toEqual(['RangeError: useBackend: threads must be an integer from 1, got 1.5'])
  })

  test('takes WebGL of 16 bits under its own name alone', async () => {
    const { tab } = await openPage(site.browser, site.server.address)
    // As on a device that has no textures of 32 bits; as text, since imports of functions are compiled for Node.
    await tab.evaluate(`import('@tensorflow/tfjs-backend-webgl').then(() => {
      page.tf.env().set('WEBGL_FORCE_F16_TEXTURES', true)
    })`)
    await tab.evaluate(() => {
      // The names say what computes; its bits are asked for after that.
      const original = WebGL2RenderingContext.prototype.getParameter
      WebGL2RenderingContext.prototype.getParameter = function (name: number) {
        const value = original.call(this, name)
        return typeof value === 'string' ? value.replaceAll('SwiftShader', 'a card') : value
      }
    })
    expect(await answerOf(tab, 'webgl')).toMatch(
      /^Error: .* got: textures of WebGL hold 16 bits a number here, too few to train with, .* \(webgl-float16 takes it\)$/,
    )
    expect(await answerOf(tab, 'webgl-float16')).toMatch(/^webgl-float16 on webgl: it was asked for/)
    const says = await tab.evaluate(async () => {
      const { tfl, patchMoE, job } = (globalThis as unknown as PageModules).page
      return job.predictSmallMixture({ tfl, ...patchMoE })
    })
    const should = await predictSmallMixture({ tfl, patchMoE, predictProbabilities })
    const distances = says.map((value, i) => Math.abs(value - (should[i] as number)))
    expect(distances).toHaveLength(48)
    expect(Math.max(...distances)).toBeLessThan(5e-3)
    await tab.close()
  })

  test.each([1, 2])('trains on wasm with threads: %d, and guards its memory', async threads => {
    const { tab, failures } = await openPage(site.browser, site.server.isolated)
    const outcome = await tab.evaluate(async count => {
      const { tf, tfl, patchMoE, job } = (globalThis as unknown as PageModules).page
      // tfjs takes half of the processors that the browser tells of.
      Object.defineProperty(navigator, 'hardwareConcurrency', { value: 4 })
      const paths = { wasmPaths: '/tensorflow/tfjs-backend-wasm/dist/', threads: count }
      const { reason } = await patchMoE.useBackend('wasm', paths)
      // Memory grows, and moves.
      const sum = tf.tidy(() => tf.sum(tf.add(tf.ones([2 ** 24]), tf.ones([2 ** 24]))))
      let told = 'no error'
      try {
        tf.tile(tf.ones([1, 2 ** 20]), [513, 1])
      } catch (error) {
        told = String(error)
      }
      const losses = await job.trainSmallMixture({ tf, tfl, ...patchMoE })
      return { reason, sum: (await sum.data())[0], told, losses }
    }, threads)
    await tab.close()
    expect(outcome).toMatchObject({
      reason: `it was asked for; ${threads} ${threads === 1 ? 'thread' : 'threads'}`,
      sum: 2 ** 25,
      told: 'Error: wasm: a tensor must fit into the memory left, at most 2147483648 bytes, got 2151677952 (use smaller batches, or the backend tensorflow)',
    })
    expect(outcome.losses).toHaveLength(3)
    outcome.losses.forEach((value, i) => {
      expect(Math.abs(value - (expected[i] as number))).toBeLessThan(1e-4)
    })
    expect(failures).toEqual([])
  })

  test.each(['webgl-software', 'webgpu-software'] as const)(
    'on %s the loss of the device ends training and prediction, and training goes on from the checkpoint',
    async name => {
      const { tab, failures } = await openPage(site.browser, site.server.address)
      const outcome = await tab.evaluate(async backend => {
        const { tf, tfl, patchMoE, job } = (globalThis as unknown as PageModules).page
        await patchMoE.useBackend(backend)
        const { gpgpu, device } = tf.backend() as unknown as {
          readonly gpgpu?: { readonly gl: WebGL2RenderingContext }
          readonly device?: { destroy(): void }
        }
        const lose = () => {
          gpgpu?.gl.getExtension('WEBGL_lose_context')?.loseContext()
          device?.destroy()
        }
        return job.trainThroughLoss({ tf, tfl, ...patchMoE }, lose, () => patchMoE.useBackend(backend))
      }, name)
      await tab.close()
      const loss = {
        'webgl-software':
          /^DeviceError: WebGL: context must stay there, got its loss.* \(training goes on from its last checkpoint/,
        'webgpu-software': /^DeviceError: WebGPU: device must stay there, got its loss: .*opened anew\)$/,
      }[name]
      expect(outcome.trained).toMatch(loss)
      expect(outcome.predicted).toMatch(loss)
      expect(outcome.losses).toHaveLength(3)
      outcome.losses.forEach((value, i) => {
        expect(Math.abs(value - (expected[i] as number))).toBeLessThan(1e-4)
      })
      expect(failures).toEqual([])
    },
  )

  test('names a tensor that is too large for the device', async () => {
    const { tab } = await openPage(site.browser, site.server.address)
    const told = async (name: 'webgl-software' | 'webgpu-software') =>
      tab.evaluate(async backend => {
        const { tf, patchMoE } = (globalThis as unknown as PageModules).page
        const { adapter } = await patchMoE.useBackend(backend)
        const limits = adapter?.limits ?? {}
        const side = limits.MAX_TEXTURE_SIZE ?? 0
        // Four numbers a pixel of a texture.
        const rows = side ? 4 * side + 1 : (limits.maxStorageBufferBindingSize ?? 0) / 4096 + 1
        const row = tf.ones([1, side || 1024])
        try {
          await tf.tile(row, [rows, 1]).data()
          return 'no error'
        } catch (error) {
          return `${error} ${side} ${limits.maxStorageBufferBindingSize} ${rows}`
        }
      }, name)
    expect(await told('webgl-software')).toMatch(
      /^DeviceError: WebGL: tensor must fit into textures of at most (\d+)x\1 on this device, got \d+ bytes of shape \[\d+, \1\] \(a smaller batch or image needs less\) \1/,
    )
    expect(await told('webgpu-software')).toMatch(
      /^DeviceError: WebGPU: tensor must have at most (\d+) bytes on this device, got \d+ of shape \[(\d+), 1024\] \(a smaller batch or image needs less\) 0 \1 \2$/,
    )
    await tab.close()
  })
})

async function answerOf(tab: Page, name: string, options: library.WasmOptions = {}): Promise<string> {
  return tab.evaluate(
    async ([asked, others]) => {
      const { tf, patchMoE } = (globalThis as unknown as PageModules).page
      const paths = { wasmPaths: '/tensorflow/tfjs-backend-wasm/dist/', ...others }
      try {
        const choice = await patchMoE.useBackend(asked as library.PageBackendName, paths)
        return `${choice.name} on ${tf.getBackend()}: ${choice.reason}`
      } catch (error) {
        return String(error)
      }
    },
    [name, options] as const,
  )
}
