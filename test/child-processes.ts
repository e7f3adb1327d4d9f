import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { afterAll } from 'vitest'

/** What a finished process left behind. */
export interface Finished {
  /** Exit code; null when a signal ended the process. */
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** A process that a test has started. */
export interface StartedProcess {
  readonly child: ChildProcess
  /** Settles when the process has ended and all its output has come; rejects when it cannot be started. */
  readonly finished: Promise<Finished>
  /**
   * Waits for the first line of output that has a form.
   *
   * @throws Error when the process ends without such a line
   */
  line(form: RegExp): Promise<string>
}

interface StartOptions {
  readonly cwd?: string
  /** Variables that are added to the environment of the tests. */
  readonly env?: Readonly<Record<string, string>>
  /** Called with each line of output as it comes. */
  readonly onLine?: (line: string, child: ChildProcess) => void
}

/*
 * A process that outlives its test file keeps vitest from closing, where it holds the error stream of the tests. So
 * every test starts its processes here: none has this stream, and none is left when the tests of the file are done.
 */
const running = new Set<ChildProcess>()
let isOver = false
afterAll(async () => {
  isOver = true
  await Promise.all([...running].map(end))
})

/** Ends a process, and hears no more of what it may have started itself. */
async function end(child: ChildProcess): Promise<void> {
  const hasEnded = child.exitCode !== null || child.signalCode !== null
  const ended = hasEnded || new Promise(resolve => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
  child.stdout?.destroy()
  child.stderr?.destroy()
}

/**
 * Starts a program without input, to be waited for by what it writes or by its end. It has no limit of its own: the
 * one of the tests holds.
 *
 * @throws Error after the tests of the file, where a hook or a test that reached its limit goes on
 */
export function startProcess(
  program: string,
  words: readonly string[],
  { cwd, env, onLine }: StartOptions = {},
): StartedProcess {
  if (isOver) throw new Error(`startProcess: ${program} must start before the tests of its file are over`)
  const child = spawn(program, words, {
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  const written = { out: '', err: '' }
  const lines: string[] = []
  const waiting = new Set<() => void>()
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    written.out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    written.err += text
  })
  createInterface({ input: child.stdout }).on('line', line => {
    lines.push(line)
    onLine?.(line, child)
    for (const look of waiting) look()
  })
  const finished = new Promise<Finished>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', code => {
      running.delete(child)
      resolve({ code, ...written })
    })
  })
  const line = (form: RegExp) =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        const match = lines.find(candidate => form.test(candidate))
        if (match === undefined) return
        waiting.delete(look)
        resolve(match)
      }
      waiting.add(look)
      look()
      const ended = ({ code, err }: Finished) =>
        reject(new Error(`${program} must write a line like ${form}, got its end with ${code}: ${err}`))
      finished.then(ended, reject)
    })
  return { child, finished, line }
}

/** Runs a program without input to its end; see {@link startProcess}. */
export function runProcess(
  program: string,
  words: readonly string[],
  options: StartOptions = {},
): Promise<Finished> {
  return startProcess(program, words, options).finished
}

/** Starts Node with TypeScript as its language; see {@link startProcess}. */
export function startTypeScript(words: readonly string[], options: StartOptions = {}): StartedProcess {
  return startProcess(process.execPath, ['--import', import.meta.resolve('tsx'), ...words], options)
}
