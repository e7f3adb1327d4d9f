import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type ChildReport, parseChildReport } from './child-report.js'
import type { Job } from './jobs.js'

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

/** The measuring process of this library for a job, in the environment that a user's process has, with a quiet log. */
export function ownCommand(who: string, job: Job): ChildCommand {
  const loader = import.meta.resolve('tsx')
  const entry = fileURLToPath(new URL('./child.ts', import.meta.url))
  return {
    who,
    program: process.execPath,
    arguments: ['--import', loader, entry, JSON.stringify(job)],
    environment: { TF_CPP_MIN_LOG_LEVEL: '2' },
  }
}

/**
 * Runs a measuring process; it is stopped when this process ends.
 *
 * @throws Error with the end of its error stream when it cannot start, fails, or prints no report
 */
export const runChild: RunChild = async ({ who, program, arguments: args, environment }) => {
  const child = spawn(program, args, {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const stop = () => child.kill()
  process.once('exit', stop)
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
    if (end !== 'exit code 0') {
      throw new Error(
        `${who}: the measuring process must end with exit code 0, got ${end}: ${lastLines(errorText)}`,
      )
    }
    return parseChildReport(output, who)
  } finally {
    process.off('exit', stop)
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
