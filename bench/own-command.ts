import { fileURLToPath } from 'node:url'
import type { ChildCommand } from '../scripts/run/measuring/child-process.js'
import type { Job } from './jobs.js'

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
