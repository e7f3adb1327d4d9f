import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, freemem, totalmem } from 'node:os'
import * as tf from '@tensorflow/tfjs-core'
import type { Backend, BackendFacts, SkippedBackend, UseBackendOptions, UsedBackend } from './backend.js'
import { type BackendName, backends } from './backends.js'
import { hasNvidiaDriver, nvidiaGpus } from './native/nvidia.js'
import { vectorFlags } from './native/processor.js'
import { runProgram } from './native/run-program.js'
import { tryOnGpu } from './native/trial.js'
import { chooseBackend } from './page/selection.js'
import type { Verification } from './verify.js'

/** What the machine offers and which backend it computes with. */
export interface Diagnosis<Name extends string = BackendName> {
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
  /** NVIDIA's GPUs with the driver's release, or the driver's version line; left out where no driver is installed. */
  readonly nvidia?: string
  readonly tfjs: string
  readonly backends: readonly BackendDiagnosis<Name>[]
  /** What `auto` chooses, and why. */
  readonly chosen: Name
  readonly reason: string
  /** What to do next, most useful first. */
  readonly advice: readonly string[]
}

/** One backend on this machine. */
export interface BackendDiagnosis<Name extends string = BackendName> extends BackendFacts {
  readonly name: Name
  readonly available: boolean
  /** Why it is not available. */
  readonly why?: string
}

/**
 * Finds out what this machine computes with. Every backend is loaded, and the one that `auto` chooses is the current one
 * afterwards.
 */
export function diagnose(options: UseBackendOptions = {}): Promise<Diagnosis> {
  return diagnoseBackends<BackendName>({ gpuTrial: tryOnGpu, ...options }, backends)
}

/** As {@link diagnose}, with the backends of any table. */
export async function diagnoseBackends<Name extends string>(
  options: UseBackendOptions,
  table: readonly Backend<Name>[],
): Promise<Diagnosis<Name>> {
  const diagnoses: BackendDiagnosis<Name>[] = []
  for (const backend of table) diagnoses.push(...(await diagnoseBackend(backend, options)))
  const choice = await chooseBackend<Name, UseBackendOptions, UsedBackend<Name>>('auto', options, table)
  const nvidia = (await nvidiaGpus(runProgram)).join('; ') || readLine('/proc/driver/nvidia/version')
  const hasDriver = options.hasNvidiaDriver ?? (nvidia !== undefined || hasNvidiaDriver())
  const machine = { chosen: choice.name, hasNvidiaDriver: hasDriver }
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
    backends: diagnoses,
    chosen: choice.name,
    reason: choice.reason,
    advice: table.flatMap(backend => backend.advice?.(machine) ?? []),
  }
}

/** One diagnosis for each of its names: what computes on the fastest device can compute on the others that were not skipped. */
async function diagnoseBackend<Name extends string>(
  backend: Backend<Name>,
  options: UseBackendOptions,
): Promise<BackendDiagnosis<Name>[]> {
  const skipped: SkippedBackend<Name>[] = []
  try {
    const used = await backend.use('auto', options, skipped)
    const facts = used && (await backend.facts(used, options))
    return backend.names.map((name, rank) =>
      used && facts && rank >= backend.names.indexOf(used.name) && !skipped.some(one => one.name === name)
        ? { name, available: true, ...facts }
        : { name, available: false, why: whySkipped(name, skipped) },
    )
  } catch (error) {
    return backend.names.map(name => ({ name, available: false, why: (error as Error).message }))
  }
}

function whySkipped<Name extends string>(name: Name, skipped: readonly SkippedBackend<Name>[]): string {
  const reasons = skipped.filter(one => one.name === name).map(one => one.why)
  return reasons.join('; ') || 'it is not installed'
}

/**
 * Checks every operation that training uses on each backend of a table that can be checked, even where a verdict is stored;
 * another backend may be the current one afterwards.
 */
export async function verifyBackends(
  options: UseBackendOptions = {},
  table: readonly Pick<Backend, 'verify'>[] = backends,
): Promise<Verification[]> {
  const verifications: Verification[] = []
  for (const { verify } of table) verifications.push(...((await verify?.(options)) ?? []))
  return verifications
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
