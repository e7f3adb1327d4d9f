import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { vi } from 'vitest'
import { exitCodeOf, program } from '../../scripts/program.js'

/** What a finished process left behind. */
export interface Finished {
  /** Exit code; null when a signal ended the process. */
  readonly code: number | null
  readonly out: string
  readonly err: string
}

interface RunOptions {
  readonly watch?: (line: string, child: ChildProcess) => void
  readonly interruptAt?: string
  readonly env?: Record<string, string>
}

const root = fileURLToPath(new URL('../..', import.meta.url))

/**
 * Runs the command line from its sources as a process of its own.
 *
 * @param options.watch is called with each line of output and may send signals
 * @param options.interruptAt presses Ctrl-C once, at the first line of output that has this text
 */
export function runPmoe(
  words: readonly string[],
  { watch, interruptAt, env }: RunOptions = {},
): Promise<Finished> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'scripts/cli.ts', ...words], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  let unfinished = ''
  let interrupted = false
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
    const lines = (unfinished + text).split('\n')
    unfinished = lines.pop() ?? ''
    for (const line of lines) {
      watch?.(line, child)
      if (interruptAt && !interrupted && line.includes(interruptAt)) interrupted = child.kill('SIGINT')
    }
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', code => resolve({ code, out, err }))
  })
}

/**
 * Runs the command line within this process, which is faster; one call at a time.
 *
 * @param watch is called with each piece of output, and may act before the command goes on
 */
export async function callPmoe(
  words: readonly string[],
  { watch }: { watch?: (text: string) => void } = {},
): Promise<Finished> {
  const written = { out: '', err: '' }
  const capture = (name: 'out' | 'err') => (text: string | Uint8Array) => {
    written[name] += text
    if (name === 'out') watch?.(String(text))
    return true
  }
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation(capture('out')),
    vi.spyOn(process.stderr, 'write').mockImplementation(capture('err')),
  ]
  try {
    await program().parseAsync([...words], { from: 'user' })
    return { code: 0, ...written }
  } catch (error) {
    return { code: exitCodeOf(error), ...written }
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
}

/** The objects of an output of JSON lines. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, unknown>)
}
