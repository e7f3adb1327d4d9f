import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { CheckResult } from '../checks/operation-check.js'
import type { SelfTestOrder, SelfTestReport } from './child.js'

/** The outcome of a process that checked an installation. */
export interface SelfTestRun {
  /** Version of TensorFlow; undefined where it did not load. */
  readonly version?: string
  readonly results: readonly CheckResult[]
  /** How the process died, such as `SIGSEGV`; undefined where it ended by itself. */
  readonly died?: string
}

/** Optional settings of a run. */
export interface SelfTestSettings {
  /** The program that is run; it gets the order as its first argument. */
  readonly program?: string
  /** How long an operation, or the loading, may take before the process is ended; milliseconds. */
  readonly patience?: number
  /** Limits oneDNN to the instructions of this name. */
  readonly instructionSet?: string | undefined
}

/** Far longer than a slow machine takes for one of these operations, which take milliseconds. */
const PATIENCE_MS = 120_000

/** Runs the table of operations in a process of its own, which may die. */
export function runSelfTestProcess(
  task: Omit<SelfTestOrder, 'parent'>,
  settings: SelfTestSettings = {},
): Promise<SelfTestRun> {
  const { program = ownProgram(), patience = PATIENCE_MS, instructionSet } = settings
  const loader = program.endsWith('.ts') ? ['--import', import.meta.resolve('tsx')] : []
  const order: SelfTestOrder = { ...task, parent: process.pid }
  const child = spawn(process.execPath, [...loader, program, JSON.stringify(order)], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: environment(instructionSet),
  })
  return new Promise((resolve, reject) => {
    const results: CheckResult[] = []
    let version: string | undefined
    let isDone = false
    let isTimedOut = false
    const kill = (): void => {
      isTimedOut = true
      child.kill('SIGKILL')
    }
    let timer = setTimeout(kill, patience)
    const stopWithParent = (): void => {
      child.kill('SIGKILL')
    }
    process.once('exit', stopWithParent)
    const lines = createInterface({ input: child.stdout })
    lines.on('line', line => {
      clearTimeout(timer)
      timer = setTimeout(kill, patience)
      const report = JSON.parse(line) as SelfTestReport
      if (report.kind === 'loaded') version = report.version
      if (report.kind === 'done') isDone = true
      if (report.kind === 'start') {
        const { operation, sizes, inBfloat16 } = report
        results.push({ operation, sizes, inBfloat16 })
      }
      if (report.kind === 'wrong') {
        results.push({ ...(results.pop() as CheckResult), wrong: report.wrong })
      }
    })
    const end = (): void => {
      clearTimeout(timer)
      process.off('exit', stopWithParent)
    }
    child.on('error', error => {
      end()
      reject(error)
    })
    child.on('close', (code, signal) => {
      end()
      const died =
        isDone && code === 0 ? undefined : isTimedOut ? 'it does not end' : `it ends with ${signal ?? code}`
      resolve({ results, ...(version !== undefined && { version }), ...(died !== undefined && { died }) })
    })
  })
}

function environment(instructionSet: string | undefined): NodeJS.ProcessEnv {
  return {
    ...process.env,
    // The verdict is about the processor, so GPUs are hidden.
    CUDA_VISIBLE_DEVICES: '-1',
    TF_CPP_MIN_LOG_LEVEL: '3',
    ...(instructionSet && { ONEDNN_MAX_CPU_ISA: instructionSet }),
  }
}

function ownProgram(): string {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return fileURLToPath(new URL(`./program.${extension}`, import.meta.url))
}
