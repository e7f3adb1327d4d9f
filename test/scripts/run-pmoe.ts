import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { vi } from 'vitest'
import { exitCodeOf, program } from '../../scripts/program.js'
import { type Finished, type StartedProcess, startTypeScript } from '../child-processes.js'

interface RunOptions {
  readonly watch?: (line: string, child: ChildProcess) => void
  readonly interruptAt?: string
  readonly env?: Record<string, string>
}

const root = fileURLToPath(new URL('../..', import.meta.url))

/**
 * Starts the command line from its sources as a process of its own.
 *
 * @param options.watch is called with each line of output and may send signals
 * @param options.interruptAt presses Ctrl-C once, at the first line of output that has this text
 */
export function startPmoe(
  words: readonly string[],
  { watch, interruptAt, env = {} }: RunOptions = {},
): StartedProcess {
  let interrupted = false
  return startTypeScript(['scripts/cli.ts', ...words], {
    cwd: root,
    env,
    onLine: (line, child) => {
      watch?.(line, child)
      if (interruptAt && !interrupted && line.includes(interruptAt)) interrupted = child.kill('SIGINT')
    },
  })
}

/** Runs the command line from its sources to its end, as a process of its own; see {@link startPmoe}. */
export function runPmoe(words: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return startPmoe(words, options).finished
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
