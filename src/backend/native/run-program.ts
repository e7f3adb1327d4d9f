import { spawn } from 'node:child_process'

/** How a program is run. */
export interface RunOptions {
  readonly cwd?: string
  /** Variables that are added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal | undefined
  /** The program is ended after this time; milliseconds. */
  readonly timeoutMs?: number
  /** Whether what it printed to standard error is returned, too, after the rest. */
  readonly withErrors?: boolean
}

/** Runs a program to its end and returns what it printed; rejects with a {@link ProgramError}. */
export type Run = (command: string, args: readonly string[], options: RunOptions) => Promise<string>

/** A program that could not be started, or that failed. */
export class ProgramError extends Error {
  override readonly name = 'ProgramError'
  /** All that it printed, standard error last. */
  readonly printed: string

  constructor(message: string, printed = '') {
    super(message)
    this.printed = printed
  }
}

/** Runs a program in a process group of its own, so that stopping it also stops what it started. */
export const runProgram: Run = (command, args, { cwd, env, signal, timeoutMs, withErrors }) =>
  new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const printed = { stdout: '', stderr: '' }
    const stop = (): void => {
      try {
        if (child.pid) process.kill(-child.pid, 'SIGKILL')
      } catch {
        // It has already ended.
      }
    }
    const timer = timeoutMs ? setTimeout(stop, timeoutMs) : undefined
    signal?.addEventListener('abort', stop)
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream].setEncoding('utf8').on('data', (text: string) => {
        printed[stream] += text
      })
    }
    const end = (failure?: string): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', stop)
      const all = printed.stdout + printed.stderr
      if (signal?.aborted) reject(signal.reason as Error)
      else if (failure === undefined) resolve(withErrors ? all : printed.stdout)
      else reject(new ProgramError(failure, all))
    }
    child.on('error', error => end(`${command} cannot be run: ${error.message}`))
    child.on('close', (code, endSignal) => {
      const lastLines = (printed.stderr.trim() || printed.stdout.trim()).split('\n').slice(-5).join('\n')
      end(code === 0 ? undefined : `${command} ended with ${code ?? endSignal}: ${lastLines}`)
    })
  })
