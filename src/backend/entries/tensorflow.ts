import { isMainThread } from 'node:worker_threads'
import { registerGraphProgram } from '../../inference/graph-programs.js'
import type { Backend, SkippedBackend, UseBackendOptions, UsedBackend } from '../backend.js'
import {
  findNative,
  loadNative,
  type NativeCandidate,
  type NativeTensorFlow,
  nativeFolder,
  whyUnusable,
} from '../native/native.js'
import { hasNvidiaDriver } from '../native/nvidia.js'
import { saidText, tryOnGpu } from '../native/trial.js'
import { setBackend } from '../page/set-backend.js'
import { type NativeVerdict, selfTest, verdictText } from '../self-test/self-test.js'
import { distrustBfloat16 } from '../tensorflow/precision.js'
import { tensorFlowThreads } from '../threads.js'
import { type Verification, verificationOf } from '../verify.js'

type NativeName = 'tensorflow-gpu' | 'tensorflow'

/** TensorFlow's C library through tfjs-node, from any installation; its GPU name is used only where a GPU computes. */
export const nativeTensorFlow: Backend<NativeName> = {
  names: ['tensorflow-gpu', 'tensorflow'],
  isAutomatic: true,
  providedBy: name => (name === 'tensorflow-gpu' ? 'npx pmoe native --gpu' : 'npx pmoe native'),
  use,
  async facts({ tensorflow }, { gpuTrial = tryOnGpu }) {
    const threads = tensorFlowThreads()
    const candidate = tensorflow as NativeTensorFlow
    const { version, folder } = candidate
    if (!candidate.usesGpu) return { version, threads, folder }
    const device = await gpuTrial(candidate).then(
      trial => trial.device ?? 'a GPU',
      (error: Error) => `a GPU that does not compute: ${error.message}`,
    )
    return { version, device, folder }
  },
  advice: ({ chosen, hasNvidiaDriver }) => [
    ...(hasNvidiaDriver && chosen !== 'tensorflow-gpu'
      ? ['An NVIDIA driver is installed: `npx pmoe native --gpu`.']
      : []),
    ...(chosen === 'wasm'
      ? ['`npx pmoe native` provides TensorFlow, which trains several times faster than wasm.']
      : []),
  ],
  async verify({ cwd, provided, verify = candidate => selfTest(candidate, { again: true }) }) {
    const verifications: Verification[] = []
    for (const candidate of findNative(cwd, provided)) {
      const verdict = whyUnusable(candidate) ? undefined : await verify(candidate)
      if (verdict) verifications.push(verificationOf(candidate, verdict))
    }
    return verifications
  },
}

/** Tries every installation, builds for a GPU first unless the processor is asked for, or there is no GPU. */
async function use(
  requested: NativeName | 'auto',
  options: UseBackendOptions,
  skipped: SkippedBackend<NativeName>[],
): Promise<UsedBackend<NativeName> | undefined> {
  const candidates = findNative(options.cwd, options.provided).filter(
    ({ gpu }) => gpu || requested !== 'tensorflow-gpu',
  )
  const hasGpu = options.hasNvidiaDriver ?? hasNvidiaDriver()
  if (requested === 'tensorflow' || (requested === 'auto' && !hasGpu))
    candidates.sort((a, b) => Number(a.gpu) - Number(b.gpu))
  if (candidates.length === 0) skipped.push(notInstalled(requested, options.provided ?? nativeFolder()))
  for (const candidate of candidates) {
    const loaded = await tryLoad(candidate, options.verify ?? selfTest, skipped)
    if (!loaded) continue
    const { tensorflow, verdict } = loaded
    const name = tensorflow.usesGpu ? 'tensorflow-gpu' : 'tensorflow'
    if (candidate.gpu && !tensorflow.usesGpu) {
      skipped.push({ name: 'tensorflow-gpu', why: await whyNoGpu(candidate, requested, options) })
    }
    if (requested === 'tensorflow-gpu' && name !== requested) return undefined
    await setBackend('tensorflow')
    const { registerTensorFlowKernels } = await import('../tensorflow/kernels.js')
    const avoided = new Set(tensorflow.usesGpu ? [] : verdict?.avoided)
    registerTensorFlowKernels(avoided)
    // A session of TensorFlow's own would use the operations that must be avoided.
    registerGraphProgram(
      'tensorflow',
      avoided.size > 0
        ? undefined
        : async graph => (await import('../tensorflow/graph-session.js')).graphSession(tensorflow, graph),
    )
    const remark =
      verdict && !tensorflow.usesGpu
        ? (verdictText(verdict) ?? 'all of its operations are right on this processor')
        : undefined
    return {
      name,
      reason: `TensorFlow ${tensorflow.version} loads (${tensorflow.origin})`,
      remark,
      tensorflow,
    }
  }
  return undefined
}

/** Where a person waits for the reason, TensorFlow's own words are added, for which it is loaded once more. */
async function whyNoGpu(
  candidate: NativeCandidate,
  requested: NativeName | 'auto',
  { gpuTrial }: UseBackendOptions,
): Promise<string> {
  const why = `${candidate.packageName} loads but finds no usable GPU`
  const trial = gpuTrial ?? (requested === 'tensorflow-gpu' ? tryOnGpu : undefined)
  if (!trial) return why
  try {
    const { reasons } = await trial(candidate)
    return reasons.length > 0 ? `${why}; ${saidText(reasons)}` : why
  } catch (error) {
    return `${why}; ${(error as Error).message}`
  }
}

/** The installation that this process has loaded, and the self-test's verdict on it. */
interface LoadedTensorFlow {
  readonly tensorflow: NativeTensorFlow
  readonly verdict?: NativeVerdict | undefined
}

async function tryLoad(
  candidate: NativeCandidate,
  verify: (candidate: NativeCandidate) => Promise<NativeVerdict | undefined>,
  skipped: SkippedBackend<NativeName>[],
): Promise<LoadedTensorFlow | undefined> {
  try {
    // A process holds one TensorFlow, which was checked before it was loaded.
    loadedTensorFlow ??= await checkedAndLoaded(candidate, verify)
    return loadedTensorFlow
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
  // The verdict is about the processor and says nothing about a GPU.
  if (verdict && !verdict.isUsable && !candidate.gpu) throw new Error(verdictText(verdict))
  if (verdict?.instructionSet) limitInstructions(verdict.instructionSet)
  const tensorflow = loadNative(candidate)
  if (verdict && !verdict.isUsable && !tensorflow.usesGpu) throw new Error(verdictText(verdict))
  if (verdict && !verdict.bfloat16) distrustBfloat16()
  return { tensorflow, verdict }
}

/** Limits oneDNN to these instructions; it reads the limit once, at its first use. */
function limitInstructions(name: string): void {
  if (!isMainThread)
    throw new Error(
      `useBackend: TensorFlow must be loaded by the main thread where oneDNN has to keep to ${name}, got a worker`,
    )
  process.env.ONEDNN_MAX_CPU_ISA = name
}

let loadedTensorFlow: LoadedTensorFlow | undefined

function notInstalled(requested: string, provided: string): SkippedBackend<NativeName> {
  const gpu = requested === 'tensorflow-gpu'
  const [packageName, build] = gpu
    ? ['@tensorflow/tfjs-node-gpu', 'GPU build']
    : ['@tensorflow/tfjs-node', 'build']
  const name = gpu ? 'tensorflow-gpu' : 'tensorflow'
  return { name, why: `${packageName} is not installed, and ${provided} holds no ${build} of it` }
}
