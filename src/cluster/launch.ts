import { type ChildProcess, spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { availableParallelism } from 'node:os'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'

/** The variable that names the process whose end is the end of a worker. */
export const PARENT_VARIABLE = 'PMOE_PARENT'

/** Workers that are started on this machine. */
export interface LaunchOptions {
  /** How many, at least 1. */
  readonly workers: number
  /** The program of every worker, and its arguments. */
  readonly command: readonly [program: string, ...words: string[]]
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Where the output of the chief, and lines of the others, are written. */
  readonly out: NodeJS.WritableStream
  readonly err: NodeJS.WritableStream
  /** Whether the chief has the terminal of this process as its output, so that it can draw there. */
  readonly inheritsOutput?: boolean
  /** Asks the workers to stop after the running step. */
  readonly signal?: AbortSignal
}

/** How the workers ended. */
export interface LaunchOutcome {
  /** 0 when all ended well, else that of the first that did not; 1 where a signal ended it. */
  readonly code: number
}

/** How long the others may take to end after one has failed; milliseconds. */
const GRACE_MS = 20_000

/**
 * TF_CONFIG of one worker, as TensorFlow's guides have it.
 *
 * @param workers addresses of all
 */
export function tfConfig(workers: readonly string[], index: number): string {
  return JSON.stringify({ cluster: { worker: workers }, task: { type: 'worker', index } })
}

/**
 * Starts workers on free ports of 127.0.0.1, forwards the output of the chief, and what the others write as lines with their number.
 * When one fails, all end; none is left when this has ended, or when this process is killed.
 */
export async function launch(options: LaunchOptions): Promise<LaunchOutcome> {
  const { workers, signal, err } = options
  const ports = await freePorts(workers)
  const addresses = ports.map(port => `127.0.0.1:${port}`)
  const started = addresses.map((_, index) => startWorker(options, addresses, index))
  const interrupt = () => {
    for (const { child } of started) child.kill('SIGINT')
  }
  signal?.addEventListener('abort', interrupt)
  if (signal?.aborted) interrupt()
  try {
    const failed = await firstFailure(started)
    if (failed) await endOthers(started)
    const ends = await Promise.all(started.map(({ ended }) => ended))
    report(started, err)
    const bad = failed ?? ends.find(({ code }) => code !== 0)
    if (bad?.signal && !signal?.aborted) err.write(`pmoe: worker ${bad.index} was ended by ${bad.signal}\n`)
    return { code: bad ? (bad.code ?? 1) : 0 }
  } finally {
    signal?.removeEventListener('abort', interrupt)
    for (const { child } of started) child.kill('SIGKILL')
  }
}

/** How one worker ended. */
interface WorkerEnd {
  readonly index: number
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

interface StartedWorker {
  readonly child: ChildProcess
  /** Its lines on the error stream, which are shown when all have ended. */
  readonly errors: string[]
  readonly ended: Promise<WorkerEnd>
}

function startWorker(
  { command: [program, ...words], env = process.env, inheritsOutput, out, err }: LaunchOptions,
  addresses: readonly string[],
  index: number,
): StartedWorker {
  const threads = Math.max(1, Math.floor(availableParallelism() / addresses.length))
  const child = spawn(program, words, {
    env: {
      TF_NUM_INTRAOP_THREADS: String(threads),
      ...env,
      TF_CONFIG: tfConfig(addresses, index),
      [PARENT_VARIABLE]: String(process.pid),
    },
    // In a group of its own, so that Ctrl-C of the terminal reaches it once, through this process.
    detached: true,
    stdio: ['ignore', index === 0 && inheritsOutput ? 'inherit' : 'pipe', 'pipe'],
  })
  const errors: string[] = []
  const prefix = index === 0 ? '' : `[worker ${index}] `
  if (child.stdout) {
    createInterface({ input: child.stdout }).on('line', line => void out.write(`${prefix}${line}\n`))
  }
  if (child.stderr) {
    createInterface({ input: child.stderr }).on('line', line => {
      if (index === 0) err.write(`${line}\n`)
      errors.push(line)
    })
  }
  const ended = new Promise<WorkerEnd>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ index, code, signal }))
  })
  return { child, errors, ended }
}

/** The first worker that ends with a failure; undefined where none does. */
async function firstFailure(started: readonly StartedWorker[]): Promise<WorkerEnd | undefined> {
  return new Promise((resolve, reject) => {
    let left = started.length
    for (const { ended } of started) {
      ended.then(end => {
        left--
        if (end.code !== 0) resolve(end)
        else if (left === 0) resolve(undefined)
      }, reject)
    }
  })
}

/** Workers that notice the failure end themselves; the rest are ended. */
async function endOthers(started: readonly StartedWorker[]): Promise<void> {
  const all = Promise.all(started.map(({ ended }) => ended))
  const late = pause(GRACE_MS, undefined, { ref: false })
  await Promise.race([all, late])
  for (const { child } of started) child.kill('SIGKILL')
}

/** What the others wrote that the chief did not: of the many that notice a loss, one says so. */
function report(started: readonly StartedWorker[], err: NodeJS.WritableStream): void {
  const said = new Set(started[0]?.errors)
  let isLossSaid = [...said].some(isLoss)
  for (const [index, { errors }] of started.entries()) {
    for (const line of index === 0 ? [] : errors) {
      if (said.has(line) || (isLoss(line) && isLossSaid)) continue
      said.add(line)
      isLossSaid ||= isLoss(line)
      err.write(`[worker ${index}] ${line}\n`)
    }
  }
}

function isLoss(line: string): boolean {
  return line.includes('workers must stay until the training ends') || line.includes('must be able to start')
}

/** Ports of 127.0.0.1 that nobody uses now. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, listeningServer))
  const ports = servers.map(server => (server.address() as { readonly port: number }).port)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

function listeningServer(): Promise<ReturnType<typeof createServer>> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen({ host: '127.0.0.1', port: 0 }, () => resolve(server))
  })
}
