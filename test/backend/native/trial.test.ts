import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { NativeCandidate } from '../../../src/backend/native/native.js'
import { tryNative } from '../../../src/backend/native/trial.js'

let folder: string

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'trial-')))
})

afterAll(() => rm(folder, { recursive: true }))

/** A package that stands for tfjs-node-gpu: plain arithmetic under TensorFlow's name, after a line of its log. */
async function install(name: string, main: string): Promise<NativeCandidate> {
  const modules = join(folder, name, 'node_modules')
  const path = join(modules, '@tensorflow/tfjs-node-gpu')
  await mkdir(join(path, 'lib/napi-v8'), { recursive: true })
  await writeFile(join(path, 'lib/napi-v8/tfjs_binding.node'), '')
  await writeFile(join(path, 'package.json'), JSON.stringify({ name: '@tensorflow/tfjs-node-gpu' }))
  await writeFile(join(path, 'index.js'), main)
  const { resolve } = createRequire(import.meta.url)
  const tfjs = dirname(resolve('@tensorflow/tfjs/package.json'))
  await symlink(tfjs, join(modules, '@tensorflow/tfjs'))
  return { packageName: '@tensorflow/tfjs-node-gpu', folder: path, gpu: true, origin: 'pmoe native' }
}

const arithmetic = `
  const tf = require('@tensorflow/tfjs')
  tf.registerBackend('tensorflow', () => tf.engine().registryFactory.cpu.factory())
  tf.copyRegisteredKernels('cpu', 'tensorflow')`

test('a process loads and computes with the log open and memory growing, and the GPU is read from the log', async () => {
  const made =
    "'I0000 00:00:17.5 99 gpu_device.cc:2019] Created device /job:localhost/replica:0/task:0/device:GPU:0 with 1000 MB memory:  -> device: 0, name: NVIDIA GeForce RTX 4090, pci bus id: 0000:01:00.0, compute capability: 8.9'"
  const candidate = await install(
    'gpu',
    `${arithmetic}
    const { TF_CPP_MIN_LOG_LEVEL: level, TF_FORCE_GPU_ALLOW_GROWTH: growth } = process.env
    console.error(${made})
    exports.backend = () => ({ binding: { TF_Version: level + growth }, isUsingGpuDevice: true })`,
  )
  expect(await tryNative(candidate)).toEqual({
    tensorflow: '0true',
    device: 'NVIDIA GeForce RTX 4090, compute capability 8.9',
    reasons: [],
  })
})

test('what an operation throws is said, without a stack, beside what TensorFlow logged', async () => {
  const candidate = await install(
    'broken',
    `${arithmetic}
    tf.unregisterKernel('Conv2D', 'tensorflow')
    tf.registerKernel({ kernelName: 'Conv2D', backendName: 'tensorflow', kernelFunc() {
      console.error('E0000 00:00:17.5 99 cuda_dnn.cc:522] Loaded runtime CuDNN library: 9.1.0')
      throw new Error('No DNN in stream executor')
    } })
    exports.backend = () => ({ binding: { TF_Version: '9.8.7' }, isUsingGpuDevice: true })`,
  )
  await expect(tryNative(candidate)).rejects.toThrow(
    new Error(
      'provideNative: the addon must load and compute, got: No DNN in stream executor; TensorFlow says: Loaded runtime CuDNN library: 9.1.0',
    ),
  )
})

test('a process that dies is named by its signal', async () => {
  const candidate = await install('dies', "process.kill(process.pid, 'SIGSEGV')")
  await expect(tryNative(candidate)).rejects.toThrow(/must load and compute, got: \S+ ended with SIGSEGV: /)
})
