import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { CellResult } from './cell-result.js'
import type { Cell } from './cells.js'
import type { StudyFolder } from './study-folder.js'
import type { WorkerOrder, WorkerReport } from './worker-messages.js'

/** The end of a worker process that was not asked for. */
export class WorkerCrash extends Error {
  override readonly name = 'WorkerCrash'
}

/** How much of what a worker writes to its error stream is kept for messages. */
const keptCharacters = 2000

/** A process that runs cells one at a time. */
export class CellProcess {
  private readonly child: ChildProcess
  private said = ''
  private waiting: { resolve(report: WorkerReport): void; reject(error: Error): void } | undefined

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
      this.said = (this.said + text).slice(-keptCharacters)
    })
    this.child.on('message', (report: WorkerReport) => this.waiting?.resolve(report))
    this.child.on('error', error => this.waiting?.reject(new WorkerCrash(error.message, { cause: error })))
    this.child.on('close', (code, signal) => {
      const last = this.said.trim().split('\n').at(-1) ?? ''
      const how = signal ? `signal ${signal}` : `exit code ${code}`
      this.waiting?.reject(new WorkerCrash(`the process ended with ${how}${last && `: ${last}`}`))
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
   * Runs a cell, which keeps its result itself.
   *
   * @throws WorkerCrash when the process ended in it; Error when the result cannot be kept
   */
  async run(cell: Cell): Promise<CellResult> {
    const report = await this.ask({ kind: 'cell', cell })
    if (report.kind === 'result') return report.result
    throw new Error(
      report.kind === 'broken' ? report.message : 'study: a worker must report a result, got none',
    )
  }

  /** Ends the process, and with it the cell that it runs. */
  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const ended = new Promise(resolve => this.child.once('close', resolve))
    // A process that computes for long between two turns is not waited for.
    const kill = setTimeout(() => this.child.kill('SIGKILL'), 5000)
    if (this.child.connected) this.child.send({ kind: 'end' } satisfies WorkerOrder, () => undefined)
    else this.child.kill('SIGKILL')
    await ended
    clearTimeout(kill)
  }

  private ask(order: WorkerOrder): Promise<WorkerReport> {
    return new Promise<WorkerReport>((resolve, reject) => {
      this.waiting = { resolve, reject }
      this.child.send(order, error => {
        if (error) reject(new WorkerCrash(error.message, { cause: error }))
      })
    }).finally(() => {
      this.waiting = undefined
    })
  }
}

function workerFile(): string {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return fileURLToPath(new URL(`./cell-worker.${extension}`, import.meta.url))
}

/** Sources have to be translated as they are imported. */
function workerArguments(): string[] {
  return import.meta.url.endsWith('.ts') ? ['--import', import.meta.resolve('tsx')] : []
}
