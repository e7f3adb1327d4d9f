import { createRequire } from 'node:module'
import { dirname, join, sep } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import {
  findNative,
  loadNative,
  type NativeCandidate,
  type NativeTensorFlow,
  nativeFolder,
} from './native.js'

/** A backend that can be asked for by name. */
export type BackendName = 'tensorflow-gpu' | 'tensorflow' | 'wasm' | 'cpu'

/** Where to look for native TensorFlow. */
export interface UseBackendOptions {
  /** Folder of the user's project; the current folder unless given. */
  readonly cwd?: string
  /** The folder that `pmoe native` fills; see `nativeFolder`. */
  readonly provided?: string
}

/** The backend that now computes, and why this one. */
export interface BackendChoice {
  readonly name: BackendName
  /** One sentence. */
  readonly reason: string
  /** What was tried first and why it could not be used. */
  readonly skipped: readonly SkippedBackend[]
  /** Native TensorFlow, where it is the one chosen. */
  readonly tensorflow?: NativeTensorFlow
}

/** A backend, or one installation of it, that could not be used. */
export interface SkippedBackend {
  readonly name: BackendName
  readonly why: string
}

/**
 * Makes a backend the current one of tfjs: the one that is asked for, or for `auto` the first that loads of
 * tfjs-node-gpu (where TensorFlow sees a GPU), tfjs-node and wasm. The kernels that training needs, or is faster with, are
 * registered. Only what is used is loaded.
 *
 * @throws RangeError for an unknown name; Error when the backend that is asked for cannot be used, saying why
 */
export async function useBackend(
  name: BackendName | 'auto' = 'auto',
  options: UseBackendOptions = {},
): Promise<BackendChoice> {
  if (name === 'cpu') return usePlainCpu()
  if (name === 'wasm') return useWasm('it was asked for', [])
  if (name === 'auto') return useFirst(options)
  if (name !== 'tensorflow' && name !== 'tensorflow-gpu') {
    throw new RangeError(
      `useBackend: name must be auto, tensorflow-gpu, tensorflow, wasm or cpu, got ${name}`,
    )
  }
  const skipped: SkippedBackend[] = []
  const choice = await useNative(name, options, skipped)
  if (choice) return { ...choice, reason: 'it was asked for' }
  throw unavailable(name, skipped)
}

async function useFirst(options: UseBackendOptions): Promise<BackendChoice> {
  const skipped: SkippedBackend[] = []
  const native = await useNative('auto', options, skipped)
  if (native) return native
  return useWasm('native TensorFlow is not provided or does not load (npx pmoe doctor says which)', skipped)
}

/** Tries every installation of native TensorFlow; the GPU name is given only where a GPU computes. */
async function useNative(
  wanted: 'auto' | 'tensorflow' | 'tensorflow-gpu',
  options: UseBackendOptions,
  skipped: SkippedBackend[],
): Promise<BackendChoice | undefined> {
  const candidates = findNative(options.cwd, options.provided).filter(
    ({ gpu }) => gpu || wanted !== 'tensorflow-gpu',
  )
  if (wanted === 'tensorflow') candidates.sort((a, b) => Number(a.gpu) - Number(b.gpu))
  if (candidates.length === 0) skipped.push(notInstalled(wanted, options.provided ?? nativeFolder()))
  for (const candidate of candidates) {
    const tensorflow = tryLoad(candidate, skipped)
    if (!tensorflow) continue
    const name = tensorflow.usesGpu ? 'tensorflow-gpu' : 'tensorflow'
    if (candidate.gpu && !tensorflow.usesGpu) {
      skipped.push({ name: 'tensorflow-gpu', why: `${candidate.packageName} loads but finds no usable GPU` })
    }
    if (wanted === 'tensorflow-gpu' && name !== wanted) return undefined
    await tf.setBackend('tensorflow')
    const { registerTensorFlowKernels } = await import('./tensorflow-kernels.js')
    registerTensorFlowKernels()
    return {
      name,
      reason: `TensorFlow ${tensorflow.version} loads (${tensorflow.origin})`,
      skipped,
      tensorflow,
    }
  }
  return undefined
}

function tryLoad(candidate: NativeCandidate, skipped: SkippedBackend[]): NativeTensorFlow | undefined {
  try {
    return loadNative(candidate)
  } catch (error) {
    skipped.push({ name: candidate.gpu ? 'tensorflow-gpu' : 'tensorflow', why: (error as Error).message })
    return undefined
  }
}

function notInstalled(wanted: string, provided: string): SkippedBackend {
  const gpu = wanted === 'tensorflow-gpu'
  const [packageName, build] = gpu
    ? ['@tensorflow/tfjs-node-gpu', 'GPU build']
    : ['@tensorflow/tfjs-node', 'build']
  const name = gpu ? 'tensorflow-gpu' : 'tensorflow'
  return { name, why: `${packageName} is not installed, and ${provided} holds no ${build} of it` }
}

function unavailable(name: 'tensorflow' | 'tensorflow-gpu', skipped: readonly SkippedBackend[]): Error {
  const command = name === 'tensorflow-gpu' ? 'npx pmoe native --gpu' : 'npx pmoe native'
  const why = skipped.map(one => one.why).join('; ')
  return new Error(
    `useBackend: backend ${name} must be available, got: ${why} (run \`${command}\` to provide it)`,
  )
}

async function usePlainCpu(): Promise<BackendChoice> {
  await import('@tensorflow/tfjs-backend-cpu')
  await setBackend('cpu')
  // tfjs would advertise tfjs-node at the first operation, to somebody who asked for this backend.
  Object.assign(tf.backend(), { firstUse: false })
  return { name: 'cpu', reason: 'it was asked for', skipped: [] }
}

async function useWasm(reason: string, skipped: readonly SkippedBackend[]): Promise<BackendChoice> {
  const [wasm, { registerWasmKernels }] = await Promise.all([
    import('@tensorflow/tfjs-backend-wasm'),
    import('./wasm/kernels.js'),
  ])
  if (!tf.findBackendFactory('wasm')) {
    throw new Error(
      'useBackend: @tensorflow/tfjs-backend-wasm must use the same @tensorflow/tfjs-core as patch-moe, got a second copy (run `npm dedupe`)',
    )
  }
  const manifest = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm/package.json')
  wasm.setWasmPaths(join(dirname(manifest), 'dist') + sep)
  await withoutNewCrashHandlers(() => setBackend('wasm'))
  registerWasmKernels()
  return { name: 'wasm', reason, skipped }
}

/** The wasm module's runtime takes over how Node reports a crash (exit code 7, other trace): give that back. */
async function withoutNewCrashHandlers(initialise: () => Promise<void>): Promise<void> {
  const events = ['uncaughtException', 'unhandledRejection']
  const before = events.map(event => process.listeners(event as 'uncaughtException'))
  await initialise()
  for (const [i, event] of events.entries()) {
    for (const listener of process.listeners(event as 'uncaughtException')) {
      if (!before[i]?.includes(listener)) process.off(event, listener)
    }
  }
}

async function setBackend(name: 'wasm' | 'cpu'): Promise<void> {
  if (!(await tf.setBackend(name)))
    throw new Error(`useBackend: backend ${name} must initialise, got a failure`)
}
