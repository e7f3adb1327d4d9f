import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { diagnosisText } from '../../scripts/commands/doctor.js'
import { type Diagnosis, diagnose } from '../../src/backend/doctor.js'
import { nativeTensorFlow } from '../../src/backend/entries/tensorflow.js'
import type { NativeTensorFlow } from '../../src/backend/native/native.js'
import { startTypeScript } from '../child-processes.js'

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'doctor-'))
})

afterAll(() => rm(folder, { recursive: true }))

test('without native TensorFlow: wasm computes, and the advice is how to get it', async () => {
  const provided = join(folder, 'nothing')
  const diagnosis = await diagnose({ cwd: folder, provided })
  expect(diagnosis).toMatchObject({
    node: process.versions.node,
    cores: availableParallelism(),
    tfjs: tf.version.tfjs,
    chosen: 'wasm',
    reason: 'native TensorFlow is not provided or does not load (npx pmoe doctor says which)',
  })
  const backends = Object.fromEntries(diagnosis.backends.map(backend => [backend.name, backend]))
  expect(backends.wasm).toEqual({ name: 'wasm', available: true, version: '4.22.0', threads: 1 })
  expect(backends.tensorflow).toEqual({
    name: 'tensorflow',
    available: false,
    why: `@tensorflow/tfjs-node is not installed, and ${provided} holds no build of it`,
  })
  expect(backends.cpu?.available).toBe(true)
  expect(diagnosis.advice.at(-1)).toMatch(/^`npx pmoe native` provides TensorFlow/)
  expect(tf.getBackend()).toBe('wasm')
})

test('the GPU that TensorFlow takes is named, or why it does not compute there', async () => {
  const tensorflow: NativeTensorFlow = {
    packageName: '@tensorflow/tfjs-node-gpu',
    folder: '/native',
    gpu: true,
    origin: 'pmoe native',
    version: '2.21.0',
    usesGpu: true,
  }
  const used = { name: 'tensorflow-gpu' as const, reason: 'it loads', tensorflow }
  const gpuTrial = async () => ({ tensorflow: '2.21.0', device: 'NVIDIA L4', reasons: [] })
  const there = { version: '2.21.0', folder: '/native' }
  expect(await nativeTensorFlow.facts(used, { gpuTrial })).toEqual({ ...there, device: 'NVIDIA L4' })
  const failing = async () => {
    throw new Error('No DNN in stream executor')
  }
  expect(await nativeTensorFlow.facts(used, { gpuTrial: failing })).toEqual({
    ...there,
    device: 'a GPU that does not compute: No DNN in stream executor',
  })
})

test('as text: one line each, the chosen one marked', () => {
  const adapter = {
    ...{ name: 'a card', driver: 'driver 5', isSoftware: false, float16: true },
    limits: {
      maxBufferSize: 2 ** 31,
      maxStorageBufferBindingSize: 2 ** 30 - 1,
      maxComputeWorkgroupSizeX: 1024,
      maxComputeWorkgroupSizeY: 512,
      maxComputeWorkgroupSizeZ: 64,
      maxComputeInvocationsPerWorkgroup: 256,
      maxComputeWorkgroupStorageSize: 32768,
    },
  }
  const diagnosis: Diagnosis = {
    node: '20.9.0',
    platform: 'linux x64',
    cpu: 'A CPU',
    cores: 1,
    simd: ['avx2'],
    memory: { total: 8, free: 3.5 },
    nvidia: 'NVRM version 1',
    tfjs: '4.22.0',
    backends: [
      { name: 'tensorflow-gpu', available: false, why: 'no GPU' },
      { name: 'tensorflow', available: true, version: '2.21.0', threads: 4, folder: '/native' },
      { name: 'wasm', available: true, version: '4.22.0', threads: 1 },
      { name: 'webgpu', available: true, version: '4.22.0', device: 'a card, driver 5', adapter },
      { name: 'webgpu-software', available: false, why: 'the adapter is a GPU' },
    ],
    chosen: 'tensorflow',
    reason: 'it loads',
    advice: ['Do this.'],
  }
  expect(diagnosisText(diagnosis)).toBe(
    [
      'node             20.9.0 on linux x64, tfjs 4.22.0',
      'cpu              A CPU, 1 core, avx2',
      'memory           8 GB, 3.5 GB free',
      'gpu              NVRM version 1',
      'tensorflow-gpu   not available: no GPU',
      'tensorflow       2.21.0, 4 threads, /native  <- chosen',
      'wasm             4.22.0, 1 thread',
      'webgpu           4.22.0, a card, driver 5',
      '                 a GPU, buffers of 2048 MiB, 1023 MiB of one seen by a kernel, workgroups of 1024x512x64, 256 in all, with 32 KiB, has float16',
      'webgpu-software  not available: the adapter is a GPU',
      '',
      '`auto` computes on tensorflow: it loads.',
      'Do this.',
    ].join('\n'),
  )
})

test('the command prints JSON for a program', async () => {
  const root = resolve(import.meta.dirname, '../..')
  const code = `import('${root}/scripts/commands/doctor.ts').then(m => m.doctorCommand().parseAsync(['--json'], { from: 'user' }))`
  const env = { PATCH_MOE_NATIVE: join(folder, 'nothing') }
  const { out } = await startTypeScript(['-e', code], { cwd: root, env }).finished
  const diagnosis = JSON.parse(out) as Diagnosis
  expect(diagnosis.backends.map(({ name }) => name)).toEqual([
    'tensorflow-gpu',
    'tensorflow',
    'wasm',
    'webgpu',
    'webgpu-software',
    'cpu',
  ])
})
