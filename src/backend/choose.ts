import { createRequire } from 'node:module'
import { dirname, join, sep } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import * as tf from '@tensorflow/tfjs-core'
import {
  findNative,
  loadNative,
  type NativeCandidate,
  type NativeTensorFlow,
  nativeFolder,
  whyUnusable,
} from './native/native.js'
import { type NativeVerdict, selfTest, verdictText } from './self-test/self-test.js'
import { distrustBfloat16 } from './tensorflow/precision.js'

/** A backend that can be asked for by name. */
export type BackendName = 'tensorflow-gpu' | 'tensorflow' | 'wasm' | 'cpu'

/** Where to look for native TensorFlow. */
export interface UseBackendOptions {
  /** Folder of the user's project; the current folder unless given. */
  readonly cwd?: string
  /** The folder that `pmoe native` fills; see `nativeFolder`. */
  readonly provided?: string
  /** Checks an installation before it is loaded; undefined where nothing is known against it. The self-test unless given. */
  readonly verify?: (candidate: NativeCandidate) => Promise<NativeVerdict | undefined>
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
 * registered. Only what is used is loaded. The first use of a native TensorFlow on a processor checks it in another process, some
 * seconds long; what it gets wrong is avoided, and the reason says so.
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
  if (choice) return choice
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
    const loaded = await tryLoad(candidate, options.verify ?? selfTest, skipped)
    if (!loaded) continue
    const { tensorflow, verdict } = loaded
    const name = tensorflow.usesGpu ? 'tensorflow-gpu' : 'tensorflow'
    if (candidate.gpu && !tensorflow.usesGpu) {
      skipped.push({ name: 'tensorflow-gpu', why: `${candidate.packageName} loads but finds no usable GPU` })
    }
    if (wanted === 'tensorflow-gpu' && name !== wanted) return undefined
    await tf.setBackend('tensorflow')
    const { registerTensorFlowKernels } = await import('./tensorflow/kernels.js')
    registerTensorFlowKernels(new Set(tensorflow.usesGpu ? [] : verdict?.avoided))
    const why =
      wanted === 'auto' ? `TensorFlow ${tensorflow.version} loads (${tensorflow.origin})` : 'it was asked for'
    const remark =
      verdict &&
      !tensorflow.usesGpu &&
      (verdictText(verdict) ?? 'all of its operations are right on this processor')
    return { name, reason: remark ? `${why}; ${remark}` : why, skipped, tensorflow }
  }
  return undefined
}

/** An installation in the process, and what the self-test said of it. */
interface LoadedTensorFlow {
  readonly tensorflow: NativeTensorFlow
  readonly verdict?: NativeVerdict | undefined
}

async function tryLoad(
  candidate: NativeCandidate,
  verify: (candidate: NativeCandidate) => Promise<NativeVerdict | undefined>,
  skipped: SkippedBackend[],
): Promise<LoadedTensorFlow | undefined> {
  try {
    // A process holds one TensorFlow, which was checked before it was loaded.
    known ??= await checkedAndLoaded(candidate, verify)
    return known
  } catch (error) {
    skipped.push({ name: candidate.gpu ? 'tensorflow-gpu' : 'tensorflow', why: (error as Error).message })
    return undefined
  }
}

async function checkedAndLoaded(
  candidate: NativeCandidate,
  verify: (candidate: NativeCandidate) => Promise<NativeVerdict | undefined>,
): Promise<LoadedTensorFlow> {
  const verdict = whyUnusable(candidate) ? undefined : await verify(candidate)
  // The verdict is on the processor, whatever a GPU computes.
  if (verdict && !verdict.isUsable && !candidate.gpu) throw new Error(verdictText(verdict))
  if (verdict?.instructionSet) limitInstructions(verdict.instructionSet)
  const tensorflow = loadNative(candidate)
  if (verdict && !verdict.isUsable && !tensorflow.usesGpu) throw new Error(verdictText(verdict))
  if (verdict && !verdict.bfloat16) distrustBfloat16()
  return { tensorflow, verdict }
}

/** Has oneDNN keep to these instructions; it asks once, when it is first used. */
function limitInstructions(name: string): void {
  if (!isMainThread)
    throw new Error(
      `useBackend: TensorFlow must be loaded by the main thread where oneDNN has to keep to ${name}, got a worker`,
    )
  process.env.ONEDNN_MAX_CPU_ISA = name
}

let known: LoadedTensorFlow | undefined

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
