import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, freemem, totalmem } from 'node:os'
import * as tf from '@tensorflow/tfjs-core'
import { type BackendChoice, type BackendName, type UseBackendOptions, useBackend } from './choose.js'
import { vectorFlags } from './native/processor.js'
import { tensorFlowThreads } from './threads.js'

/** What the machine offers and which backend it computes with. */
export interface Diagnosis {
  /** Version of Node.js, such as 20.9.0. */
  readonly node: string
  /** Operating system and processor family, such as linux x64. */
  readonly platform: string
  readonly cpu: string
  /** Processors that this process may use. */
  readonly cores: number
  /** Vector instruction sets that the processor reports and TensorFlow or wasm use; empty where it does not say. */
  readonly simd: readonly string[]
  /** Gigabytes. */
  readonly memory: { readonly total: number; readonly free: number }
  /** The NVIDIA driver's version line, where one is installed. */
  readonly nvidia?: string
  readonly tfjs: string
  readonly backends: readonly BackendDiagnosis[]
  /** What `auto` chooses, and why. */
  readonly chosen: BackendName
  readonly reason: string
  /** What to do next, most useful first. */
  readonly advice: readonly string[]
}

/** One backend on this machine. */
export interface BackendDiagnosis {
  readonly name: BackendName
  readonly available: boolean
  /** Version of what computes: the TensorFlow library, or the npm package. */
  readonly version?: string
  readonly threads?: number
  /** Folder of the package, where it is not a dependency. */
  readonly folder?: string
  /** Why it is not available. */
  readonly why?: string
}

/**
 * Finds out what this machine computes with. Every backend that `auto` would try is loaded, and the chosen one is
 * the current one afterwards.
 */
export async function diagnose(options: UseBackendOptions = {}): Promise<Diagnosis> {
  const wasm = await diagnoseWasm()
  const choice = await useBackend('auto', options)
  const nvidia = readLine('/proc/driver/nvidia/version')
  const backends = [...diagnoseNative(choice), wasm, await plainCpu()]
  return {
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    cpu: cpus()[0]?.model.trim() || 'unknown',
    cores: availableParallelism(),
    simd: vectorFlags(),
    memory: {
      total: gigabytes(Math.min(totalmem(), process.constrainedMemory() || totalmem())),
      free: gigabytes(freemem()),
    },
    ...(nvidia ? { nvidia } : {}),
    tfjs: tf.version_core,
    backends,
    chosen: choice.name,
    reason: choice.reason,
    advice: adviceFor(choice, nvidia !== undefined),
  }
}

async function diagnoseWasm(): Promise<BackendDiagnosis> {
  try {
    await useBackend('wasm')
    const { version_wasm: version, getThreadsCount } = await import('@tensorflow/tfjs-backend-wasm')
    return { name: 'wasm', available: true, version, threads: Math.max(1, getThreadsCount()) }
  } catch (error) {
    return { name: 'wasm', available: false, why: (error as Error).message }
  }
}

function diagnoseNative({ name, tensorflow, skipped }: BackendChoice): BackendDiagnosis[] {
  return (['tensorflow-gpu', 'tensorflow'] as const).map(backend => {
    const usable = tensorflow && (name === backend || backend === 'tensorflow')
    if (usable) {
      return {
        name: backend,
        available: true,
        version: tensorflow.version,
        threads: tensorFlowThreads(),
        folder: tensorflow.folder,
      }
    }
    const reasons = skipped.filter(one => one.name === backend).map(one => one.why)
    return { name: backend, available: false, why: reasons.join('; ') || 'it is not installed' }
  })
}

async function plainCpu(): Promise<BackendDiagnosis> {
  const { version_cpu } = await import('@tensorflow/tfjs-backend-cpu')
  return { name: 'cpu', available: true, version: version_cpu, threads: 1 }
}

function adviceFor({ name }: BackendChoice, nvidia: boolean): string[] {
  const advice: string[] = []
  if (nvidia && name !== 'tensorflow-gpu')
    advice.push('An NVIDIA driver is installed: `npx pmoe native --gpu`.')
  if (name === 'wasm') {
    advice.push('`npx pmoe native` provides TensorFlow, which trains several times faster than wasm.')
  }
  return advice
}

function readLine(path: string): string | undefined {
  return readText(path)?.split('\n')[0]?.trim()
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function gigabytes(bytes: number): number {
  return Math.round(bytes / 1e8) / 10
}
