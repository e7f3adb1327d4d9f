import { fileURLToPath } from 'node:url'
import type { PackageInstallation } from './installation.js'
import type { NativeCandidate } from './native.js'
import { ProgramError, type Run, runProgram } from './run-program.js'
import type { TrialReport, TrialResult } from './trial-program.js'

/** An installation that loaded and computed right in a process of its own. */
export interface NativeTrial {
  /** Version of the TensorFlow library. */
  readonly tensorflow: string
  /** The GPU that it computed on, in TensorFlow's words; undefined where it computed on the processor. */
  readonly device?: string
  /** What TensorFlow logged about GPUs, where it computed on the processor. */
  readonly reasons: readonly string[]
}

/** How a trial is run. */
export interface TrialOptions {
  readonly run?: Run
  readonly signal?: AbortSignal | undefined
  /** The process is ended after this time; milliseconds. */
  readonly timeoutMs?: number
}

/**
 * Loads an installation in a process of its own, which multiplies two matrices and convolves a map.
 *
 * @throws Error where it does not load, computes something else, or dies; with TensorFlow's words about GPUs
 */
export async function tryNative(
  candidate: NativeCandidate,
  options: TrialOptions = {},
): Promise<NativeTrial> {
  const { run = runProgram, signal, timeoutMs } = options
  const program = ownProgram()
  const loader = program.endsWith('.ts') ? ['--import', import.meta.resolve('tsx')] : []
  const printed = await run(process.execPath, [...loader, program, JSON.stringify(candidate)], {
    signal,
    withErrors: candidate.gpu,
    // A GPU's log is read for its name, or for the reason why there is none.
    ...(candidate.gpu && { env: { TF_CPP_MIN_LOG_LEVEL: '0' } }),
    ...(timeoutMs !== undefined && { timeoutMs }),
  }).catch(cause => {
    throw cause instanceof ProgramError ? notComputing(cause.message, cause.printed) : cause
  })
  const { version, usesGpu, product, convolution } = resultIn(printed)
  const expected = '19,22,43,50,4,4,4,4'
  const numbers = [...product, ...convolution].join()
  if (numbers !== expected)
    throw new Error(`provideNative: the addon must compute ${expected} in its trial, got ${numbers}`)
  if (!usesGpu) return { tensorflow: version, reasons: gpuReasons(printed) }
  return { tensorflow: version, device: deviceIn(printed) ?? 'a GPU', reasons: [] }
}

/** How long a trial may take that a person waits for; a GPU that is new to TensorFlow compiles its kernels first. */
const PATIENCE_MS = 120_000

/** Tries an installation that computes on a GPU, or should: its GPU, or why it takes none. */
export function tryOnGpu(candidate: NativeCandidate): Promise<NativeTrial> {
  return tryNative(candidate, { timeoutMs: PATIENCE_MS })
}

/**
 * Tries what is installed in a stage; a GPU build has to compute on a GPU.
 *
 * @throws Error where it does not, with TensorFlow's reason
 */
export async function tryInstalled(
  { packageName, gpu, run, signal, onStage }: PackageInstallation,
  folder: string,
): Promise<NativeTrial> {
  onStage('trying it')
  const trial = await tryNative({ packageName, folder, gpu, origin: 'pmoe native' }, { run, signal })
  if (gpu) requireGpu(trial)
  return trial
}

/** Refuses a trial that took place on the processor. */
function requireGpu({ tensorflow, device, reasons }: NativeTrial): void {
  if (device !== undefined) return
  throw new Error(
    `provideNative: TensorFlow ${tensorflow} must compute on a GPU, got the processor; ${saidText(reasons)}`,
  )
}

/** What TensorFlow said of why it uses no GPU, as part of a sentence. */
export function saidText(reasons: readonly string[]): string {
  return reasons.length > 0
    ? `TensorFlow says: ${reasons.join(' | ')}`
    : 'TensorFlow says nothing of the reason'
}

function notComputing(got: string, printed: string): Error {
  const reasons = gpuReasons(printed)
  const said = reasons.length > 0 ? `; ${saidText(reasons)}` : ''
  return new Error(`provideNative: the addon must load and compute, got: ${got}${said}`)
}

function resultIn(printed: string): TrialResult {
  const line = printed.split('\n').find(text => text.startsWith('{"report":'))
  if (line === undefined)
    throw new Error(
      `provideNative: the addon's trial must end with its report, got: ${printed.trim().slice(-200)}`,
    )
  const { report } = JSON.parse(line) as { report: TrialReport }
  if ('failure' in report) throw notComputing(report.failure, printed)
  return report
}

/** A line of TensorFlow's log, as it was (2026-01-31 08:15:00.123456: W path:12] words) and as it is now (W0000 00:00:17.5 99 path:12] words). */
const LOG_LINE = /^(?:\d{4}-\d\d-\d\d [\d:.]+: )?([IWEF])(?:\d{4} [\d:.]+ +\d+)? \S+:\d+\] (.+)$/

/** The device of the last GPU that TensorFlow made, which is the one that tfjs-node takes. */
function deviceIn(printed: string): string | undefined {
  const made = /Created device \S+GPU:\d+ .*name: (.+?), pci bus id: \S+, (compute capability: [\d.]+)/g
  const last = [...printed.matchAll(made)].at(-1)
  return last && `${last[1]}, ${last[2]?.replace(': ', ' ')}`
}

/** What TensorFlow logged that may be the reason why it uses no GPU: each once, without what it says on every machine. */
function gpuReasons(printed: string): string[] {
  const words = printed.split('\n').flatMap(line => LOG_LINE.exec(line)?.[2]?.trim() ?? [])
  const reasons = words.filter(text => IS_ABOUT_GPUS.test(text) && !IS_ALWAYS_SAID.test(text))
  return [...new Set(reasons)].slice(-MOST_REASONS).map(text => text.slice(0, 400))
}

const MOST_REASONS = 6
const IS_ABOUT_GPUS = /gpu|cuda|cudnn|cublas|cuinit|nvidia|nccl|dlopen|dlerror|driver|compute capability/i
const IS_ALWAYS_SAID =
  /Attempting to register factory|TF-TRT|NUMA|This TensorFlow binary|^Successfully opened|^Created device/

function ownProgram(): string {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return fileURLToPath(new URL(`./trial-program.${extension}`, import.meta.url))
}
