import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Cell } from './cell.js'
import type { StudyFolder } from './study-folder.js'
import type { WorkerOrder, WorkerReport } from './worker-messages.js'

/** A worker process that ended by itself. */
export class WorkerCrash extends Error {
  override readonly name = 'WorkerCrash'
}

/** How a cell is run. */
export interface CellOrder {
  /** Runs it again where it has failed. */
  readonly retryFailed: boolean
  /** Is told of the process that had the cell and ended without a result. */
  readonly onTakenOver?: (from: string) => void
}

/** What became of a cell: its result, which may have been there already, or that another process has it. */
export type RunCell = Extract<WorkerReport, { readonly kind: 'result' | 'busy' }>

/** How long a process that is to end may take for the step that it computes and to store its state, in milliseconds. */
const endMs = 20_000
/** How many of the last characters of its error stream are kept for messages. */
const maxErrorCharacters = 2000

/** A process that runs cells one at a time. */
export class CellProcess {
  private readonly child: ChildProcess
  private errorText = ''
  private takeover: ((from: string) => void) | undefined
  private pending: { resolve(report: WorkerReport): void; reject(error: Error): void } | undefined

  /**
   * @param threads that the backend may use
   * @param file the program of the process
   */
  constructor(threads: number, file: string = workerFile()) {
    this.child = fork(file, [], {
      execArgv: workerArguments(),
      env: {
        ...process.env,
        TF_CPP_MIN_LOG_LEVEL: process.env.TF_CPP_MIN_LOG_LEVEL ?? '2',
        TF_NUM_INTRAOP_THREADS: process.env.TF_NUM_INTRAOP_THREADS ?? String(threads),
        TF_NUM_INTEROP_THREADS: process.env.TF_NUM_INTEROP_THREADS ?? '1',
      },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.errorText = (this.errorText + text).slice(-maxErrorCharacters)
    })
    this.child.on('message', (report: WorkerReport) => {
      if (report.kind === 'takeover') this.takeover?.(report.from)
      else this.pending?.resolve(report)
    })
    this.child.on('error', error => this.pending?.reject(new WorkerCrash(error.message, { cause: error })))
    this.child.on('close', (code, signal) => {
      const last = this.errorText.trim().split('\n').at(-1) ?? ''
      const how = signal ? `signal ${signal}` : `exit code ${code}`
      this.pending?.reject(new WorkerCrash(`the process ended with ${how}${last && `: ${last}`}`))
    })
  }

  /**
   * Loads the backend of a study.
   *
   * @throws Error when the process cannot work
   */
  async begin({ directory, config }: StudyFolder): Promise<void> {
    const report = await this.ask({ kind: 'study', directory, config })
    if (report.kind === 'broken') throw new Error(report.message)
  }

  /**
   * Runs a cell, unless another process has it; the process writes the result into the folder of the study.
   *
   * @throws WorkerCrash when the process ended before the cell did; Error when the result cannot be written
   */
  async run(cell: Cell, { retryFailed, onTakenOver }: CellOrder): Promise<RunCell> {
    this.takeover = onTakenOver
    const report = await this.ask({ kind: 'cell', cell, retryFailed })
    if (report.kind === 'result' || report.kind === 'busy') return report
    throw new Error(
      report.kind === 'broken' ? report.message : 'study: a worker must report a result, got none',
    )
  }

  /** Ends the process, and with it the cell that it runs. */
  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const ended = new Promise(resolve => this.child.once('close', resolve))
    // A process in a long computation does not read the message in time.
    const kill = setTimeout(() => this.child.kill('SIGKILL'), endMs)
    if (this.child.connected) this.child.send({ kind: 'end' } satisfies WorkerOrder, () => undefined)
    else this.child.kill('SIGKILL')
    await ended
    clearTimeout(kill)
  }

  private ask(order: WorkerOrder): Promise<WorkerReport> {
    return new Promise<WorkerReport>((resolve, reject) => {
      this.pending = { resolve, reject }
      this.child.send(order, error => {
        if (error) reject(new WorkerCrash(error.message, { cause: error }))
      })
    }).finally(() => {
      this.pending = undefined
    })
  }
}

function workerFile(): string {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return fileURLToPath(new URL(`./cell-worker.${extension}`, import.meta.url))
}

/** TypeScript sources are imported through tsx. */
function workerArguments(): string[] {
  return import.meta.url.endsWith('.ts') ? ['--import', import.meta.resolve('tsx')] : []
}
