import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { NativeTrial } from '../../src/backend/native/trial.js'
import type { NativeVerdict } from '../../src/backend/self-test/self-test.js'

const { resolve } = createRequire(import.meta.url)
const tfjs = dirname(resolve('@tensorflow/tfjs/package.json'))
const core = dirname(resolve('@tensorflow/tfjs-core/package.json'))

let cwd: string
let provided: string
let verdict: NativeVerdict | undefined
let reasons: string[]
let hasNvidiaDriver: boolean
let choose: typeof import('../../src/backend/choose.js')

beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'choose-'))
  provided = join(cwd, 'provided')
  verdict = undefined
  reasons = []
  hasNvidiaDriver = true
  // A process holds one native TensorFlow: each test starts a new one.
  vi.resetModules()
  choose = await import('../../src/backend/choose.js')
})

afterEach(async () => {
  await tf.setBackend('cpu')
  if (tf.findBackendFactory('tensorflow')) tf.removeBackend('tensorflow')
  await rm(cwd, { recursive: true })
})

/** An npm package under `cwd` that stands for tfjs-node: it registers a backend and reports a version and a GPU. */
async function install(
  packageName: string,
  fake: { addon?: boolean; gpu?: boolean; main?: string; tfjs?: string | undefined; under?: string },
): Promise<string> {
  const modules = join(fake.under ?? cwd, 'node_modules')
  const folder = join(modules, packageName)
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: packageName, version: '4.22.0' }))
  const working = `
    const tf = require('@tensorflow/tfjs')
    tf.registerBackend('tensorflow', () => Object.assign(new tf.KernelBackend(), { dispose() {} }))
    exports.backend = () => ({ binding: { TF_Version: '9.8.7' }, isUsingGpuDevice: ${fake.gpu ?? false} })`
  await writeFile(join(folder, 'index.js'), fake.main ?? working)
  if (fake.addon !== false) {
    await mkdir(join(folder, 'lib/napi-v8'), { recursive: true })
    await writeFile(join(folder, 'lib/napi-v8/tfjs_binding.node'), '')
  }
  const target = 'tfjs' in fake ? fake.tfjs : tfjs
  if (target) await symlink(target, join(modules, '@tensorflow/tfjs')).catch(() => {})
  return folder
}

const use = (name: Parameters<typeof choose.useBackend>[0]) =>
  choose.useBackend(name, { cwd, provided, hasNvidiaDriver, gpuTrial, verify: async () => verdict })

const gpuTrial = async (): Promise<NativeTrial> => ({ tensorflow: '9.8.7', reasons })

describe('by name', () => {
  test('an unknown name is refused', async () => {
    await expect(use('webgl' as 'cpu')).rejects.toThrow(
      new RangeError(
        'useBackend: name must be auto, tensorflow-gpu, tensorflow, wasm, webgpu, webgpu-software or cpu, got webgl',
      ),
    )
  })

  test('cpu is chosen only when asked for', async () => {
    expect(await use('cpu')).toEqual({ name: 'cpu', reason: 'it was asked for', skipped: [] })
    expect(tf.getBackend()).toBe('cpu')
  })

  test('wasm computes from any folder, trains, and leaves crashes to Node', async () => {
    const handlers = () =>
      ['uncaughtException', 'unhandledRejection'].map(event => process.listenerCount(event))
    const before = handlers()
    const home = process.cwd()
    process.chdir(cwd)
    try {
      expect((await use('wasm')).name).toBe('wasm')
    } finally {
      process.chdir(home)
    }
    expect(tf.getBackend()).toBe('wasm')
    expect(handlers()).toEqual(before)
    const filter: tf.Tensor = tf.ones([2, 2, 1, 1])
    const gradient = tf.grad(w =>
      tf.conv2d(tf.ones([1, 3, 3, 1]) as tf.Tensor4D, w as tf.Tensor4D, 1, 'valid').sum(),
    )(filter)
    expect([...gradient.dataSync()]).toEqual([4, 4, 4, 4])
  })

  test('tensorflow that is not there: why, and what to do', async () => {
    await expect(use('tensorflow')).rejects.toThrow(
      `useBackend: backend tensorflow must be available, got: @tensorflow/tfjs-node is not installed, and ${provided} holds no build of it (run \`npx pmoe native\` to provide it)`,
    )
    await expect(use('tensorflow-gpu')).rejects.toThrow(
      `useBackend: backend tensorflow-gpu must be available, got: @tensorflow/tfjs-node-gpu is not installed, and ${provided} holds no GPU build of it (run \`npx pmoe native --gpu\` to provide it)`,
    )
  })

  test('an addon that was never downloaded is named', async () => {
    const folder = await install('@tensorflow/tfjs-node', { addon: false })
    await expect(use('tensorflow')).rejects.toThrow(
      `loadNative: @tensorflow/tfjs-node must have its addon lib/napi-v*/tfjs_binding.node, got none (${folder}; its install script did not run or failed)`,
    )
  })

  test('a second copy of tfjs is named', async () => {
    const copy = join(cwd, 'copy')
    const copiedCore = join(copy, 'node_modules/@tensorflow/tfjs-core')
    await mkdir(copiedCore, { recursive: true })
    for (const [folder, name] of [
      [copy, 'tfjs'],
      [copiedCore, 'tfjs-core'],
    ] as const) {
      await writeFile(join(folder, 'package.json'), `{"name": "@tensorflow/${name}", "main": "main.js"}`)
      await writeFile(join(folder, 'main.js'), '')
    }
    const folder = await install('@tensorflow/tfjs-node', { tfjs: copy })
    await expect(use('tensorflow')).rejects.toThrow(
      `loadNative: @tensorflow/tfjs-node must use the same @tensorflow/tfjs-core as patch-moe, got ${join(copiedCore, 'main.js')} (${folder}; patch-moe uses ${core}`,
    )
  })

  test('no tfjs beside it at all is named', async () => {
    await install('@tensorflow/tfjs-node', { tfjs: undefined })
    await expect(use('tensorflow')).rejects.toThrow('the same @tensorflow/tfjs-core as patch-moe, got none (')
  })

  test('an addon that does not load is named with its first line', async () => {
    const folder = await install('@tensorflow/tfjs-node', {
      main: "throw new Error('libfoo.so: not found\\nmore')",
    })
    await expect(use('tensorflow')).rejects.toThrow(
      `loadNative: @tensorflow/tfjs-node must load, got: libfoo.so: not found (${folder})`,
    )
  })

  test('tensorflow-gpu is not given without a GPU', async () => {
    await install('@tensorflow/tfjs-node-gpu', { gpu: false })
    await expect(use('tensorflow-gpu')).rejects.toThrow(
      'got: @tensorflow/tfjs-node-gpu loads but finds no usable GPU (run `npx pmoe native --gpu`',
    )
    reasons = ['Cannot dlopen some GPU libraries.', 'Skipping registering GPU devices']
    await expect(use('tensorflow-gpu')).rejects.toThrow(
      'finds no usable GPU; TensorFlow says: Cannot dlopen some GPU libraries. | Skipping registering GPU devices (run',
    )
  })
})

describe('auto', () => {
  test('takes wasm where there is no native TensorFlow, never cpu', async () => {
    const choice = await use('auto')
    expect(choice.name).toBe('wasm')
    expect(choice.reason).toBe(
      'native TensorFlow is not provided or does not load (npx pmoe doctor says which)',
    )
    expect(choice.skipped).toEqual([
      {
        name: 'tensorflow',
        why: `@tensorflow/tfjs-node is not installed, and ${provided} holds no build of it`,
      },
    ])
    expect(tf.getBackend()).toBe('wasm')
  })

  test('prefers a GPU package whose GPU works, and says what computes', async () => {
    await install('@tensorflow/tfjs-node', {})
    const folder = await install('@tensorflow/tfjs-node-gpu', { gpu: true })
    const choice = await use('auto')
    expect(choice).toMatchObject({
      name: 'tensorflow-gpu',
      reason: 'TensorFlow 9.8.7 loads (project)',
      tensorflow: { version: '9.8.7', usesGpu: true, folder, packageName: '@tensorflow/tfjs-node-gpu' },
    })
    expect(tf.getBackend()).toBe('tensorflow')
  })

  test('without a driver a GPU package is taken last', async () => {
    hasNvidiaDriver = false
    const folder = await install('@tensorflow/tfjs-node', {})
    await install('@tensorflow/tfjs-node-gpu', { gpu: false })
    expect(await use('auto')).toMatchObject({ name: 'tensorflow', tensorflow: { folder }, skipped: [] })
  })

  test('a GPU package without a GPU computes as tensorflow', async () => {
    await install('@tensorflow/tfjs-node-gpu', { gpu: false })
    const choice = await use('auto')
    expect(choice.name).toBe('tensorflow')
    expect(choice.skipped).toEqual([
      { name: 'tensorflow-gpu', why: '@tensorflow/tfjs-node-gpu loads but finds no usable GPU' },
    ])
  })

  test('goes past a broken package to the folder that `pmoe native` fills', async () => {
    await install('@tensorflow/tfjs-node', { main: "throw new Error('broken')" })
    const folder = await install('@tensorflow/tfjs-node', { under: provided })
    const info = { packageName: '@tensorflow/tfjs-node', gpu: false, tensorflow: '9.8.7', source: 'built' }
    await writeFile(join(provided, 'native.json'), JSON.stringify(info))
    const choice = await use('auto')
    expect(choice).toMatchObject({ name: 'tensorflow', tensorflow: { folder, origin: 'pmoe native' } })
    expect(choice.skipped.map(({ why }) => why)).toEqual([expect.stringContaining('must load, got: broken')])
  })

  test('a process keeps the one it loaded', async () => {
    await install('@tensorflow/tfjs-node', {})
    const first = await use('tensorflow')
    await use('wasm')
    const again = await use('auto')
    expect(again.tensorflow).toEqual(first.tensorflow)
    expect(tf.getBackend()).toBe('tensorflow')
  })
})

describe('what the self-test found', () => {
  const found = (rest: Partial<NativeVerdict>): NativeVerdict => ({
    version: '9.8.7',
    isUsable: true,
    avoided: [],
    bfloat16: true,
    operations: [
      { operation: 'Conv2D', inBfloat16: false, checks: 9, wrong: '4x4 map: 1 in the place of 2' },
    ],
    seconds: 3,
    ...rest,
  })

  test('where everything is right the reason says it', async () => {
    await install('@tensorflow/tfjs-node', {})
    verdict = found({ operations: [{ operation: 'Conv2D', inBfloat16: false, checks: 9 }] })
    expect((await use('auto')).reason).toBe(
      'TensorFlow 9.8.7 loads (project); all of its operations are right on this processor',
    )
  })

  test('operations computed in another way are said in the reason', async () => {
    await install('@tensorflow/tfjs-node', {})
    verdict = found({ avoided: ['batchNorm', 'channelSums'] })
    const remark = 'batchNorm, channelSums computed in another way, since TensorFlow is wrong here'
    expect((await use('tensorflow')).reason).toBe(`it was asked for; ${remark}`)
    expect((await use('auto')).reason).toBe(`TensorFlow 9.8.7 loads (project); ${remark}`)
  })

  test('fewer instructions are set before it is loaded', async () => {
    vi.stubEnv('ONEDNN_MAX_CPU_ISA', undefined)
    await install('@tensorflow/tfjs-node', {
      main: "throw new Error('limit ' + process.env.ONEDNN_MAX_CPU_ISA)",
    })
    verdict = found({ instructionSet: 'AVX2', bfloat16: false })
    await expect(use('tensorflow')).rejects.toThrow('must load, got: limit AVX2')
    vi.unstubAllEnvs()
  })

  test('a TensorFlow that is wrong whatever is done is refused by name, and gone past by auto', async () => {
    await install('@tensorflow/tfjs-node', {})
    verdict = found({ isUsable: false })
    const why = 'TensorFlow must compute right on this processor, got wrong: Conv2D'
    await expect(use('tensorflow')).rejects.toThrow(
      `useBackend: backend tensorflow must be available, got: ${why} (run`,
    )
    const choice = await use('auto')
    expect(choice.name).toBe('wasm')
    expect(choice.skipped).toEqual([{ name: 'tensorflow', why }])
  })

  test('a GPU computes whatever the processor would get wrong', async () => {
    await install('@tensorflow/tfjs-node-gpu', { gpu: true })
    verdict = found({ isUsable: false })
    expect(await use('auto')).toMatchObject({
      name: 'tensorflow-gpu',
      reason: 'TensorFlow 9.8.7 loads (project)',
    })
  })
})
