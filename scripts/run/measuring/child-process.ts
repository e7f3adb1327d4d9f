import { spawn } from 'node:child_process'
import { type ChildReport, parseChildReport } from './child-report.js'

/** A process that measures and prints a report. */
export interface ChildCommand {
  /** Names it in errors and on the progress line. */
  readonly who: string
  readonly program: string
  readonly arguments: readonly string[]
  /** Added to the environment of this process. */
  readonly environment: Readonly<Record<string, string>>
}

/** Runs a measuring process to its end. */
export type RunChild = (command: ChildCommand) => Promise<ChildReport>

/**
 * Runs a measuring process; it is stopped when this process ends.
 *
 * @throws Error with the end of its error stream when it cannot start, fails, or prints no report
 */
export const runChild: RunChild = async command => parseChildReport(await childOutput(command), command.who)

/**
 * Runs a process and returns what it prints; it is stopped when this process ends.
 *
 * @param signal stops it, with its reason as the error
 * @throws Error with the end of its error stream when it cannot start or fails
 */
export async function childOutput(
  { who, program, arguments: args, environment }: ChildCommand,
  signal?: AbortSignal,
): Promise<string> {
  signal?.throwIfAborted()
  const child = spawn(program, args, {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const stop = () => child.kill()
  process.once('exit', stop)
  signal?.addEventListener('abort', stop)
  try {
    const [output, errorText, end] = await Promise.all([
      textOf(child.stdout),
      textOf(child.stderr),
      new Promise<string>((resolve, reject) => {
        child.once('error', reject)
        child.once('close', (code, signal) => resolve(signal ?? `exit code ${code}`))
      }),
    ]).catch((cause: Error) => {
      throw new Error(`${who}: the measuring process must start, got: ${cause.message}`, { cause })
    })
    signal?.throwIfAborted()
    if (end !== 'exit code 0') {
      throw new Error(
        `${who}: the measuring process must end with exit code 0, got ${end}: ${lastLines(errorText)}`,
      )
    }
    return output
  } finally {
    process.off('exit', stop)
    signal?.removeEventListener('abort', stop)
  }
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += String(chunk)
  return text
}

function lastLines(text: string): string {
  const lines = text.trim().split('\n')
  const message = lines.find(line => /^\w*Error\b/.test(line))
  return message ?? (lines.slice(-3).join(' | ') || 'nothing on standard error')
}
