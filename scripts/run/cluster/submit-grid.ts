import { spawn } from 'node:child_process'
import { basename, extname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { GridJob } from '../../../src/cluster/schedulers/scheduler.js'
import { shellCommand } from '../../../src/cluster/shell-command.js'
import { writeFileAtomic } from '../../../src/files/atomic.js'
import { isMissing, makeFolder } from '../../../src/files/folders.js'
import { readTextFile } from '../../../src/files/regular-file.js'
import { asUsage, UsageError } from '../../terminal/usage-error.js'
import type { AskedJob } from './cluster-options.js'

/** A grid of runs that tasks of a job are to share. */
export interface Grid {
  /** The command that gives it away, for errors: `study`. */
  readonly where: string
  /** The words of the command of a task, after the program, without `--out`, its number and their count. */
  readonly words: readonly string[]
  readonly runs: number
  /** The folder of the results, as it was typed. */
  readonly out: string
  /** Writes what is done as a JSON line. */
  readonly json: boolean
}

/** Tasks that share the runs unless their number is given. */
const usualTasks = 16

/**
 * The folder of the results, as the tasks of a job see it: of those that see the files of this machine, its absolute path.
 */
export function resultsFolder({ scheduler }: Pick<AskedJob, 'scheduler'>, out: string): string {
  return scheduler.seesFiles ? resolve(out) : out
}

/**
 * Checks that a job can be described, before anything is written.
 *
 * @throws UsageError for values that the scheduler cannot be given
 */
export function checkGrid(asked: AskedJob, grid: Grid): void {
  asUsage(() => asked.scheduler.describe(gridJob(asked, grid)))
}

/**
 * Writes the file of a job, and submits it unless it is only to be written.
 *
 * @throws UsageError for values that the scheduler cannot be given; Error where the command that submits is not there or fails,
 *   naming the file that is written
 */
export async function submitGrid(asked: AskedJob, grid: Grid): Promise<void> {
  const { scheduler, dryRun } = asked
  const job = gridJob(asked, grid)
  const text = asUsage(() => scheduler.describe(job))
  const path = await writeJob(job.folder, scheduler.file, text)
  const submit = scheduler.submit(path)
  const people = grid.json ? process.stderr : process.stdout
  people.write(
    `${scheduler.title}: ${job.tasks} task${job.tasks === 1 ? '' : 's'} share ${grid.runs} runs; the job is ${path}\n` +
      `${dryRun ? 'Submit it with: ' : ''}${shellCommand(submit)}\n`,
  )
  if (!dryRun) await submitted(submit, grid)
  if (!grid.json) return
  const { folder, tasks, results } = job
  const record = { type: 'cluster', file: path, folder, results, tasks, submit, submitted: !dryRun }
  process.stdout.write(`${JSON.stringify(record)}\n`)
}

function gridJob(asked: AskedJob, { where, words, runs, out }: Grid): GridJob {
  const { scheduler, resources, options } = asked
  const results = resultsFolder(asked, out)
  const name = `pmoe ${where} ${basename(out)}`
  const folder = resolve(
    asked.folder ?? (scheduler.seesFiles ? join(out, 'cluster') : join('runs', `cluster-${basename(out)}`)),
  )
  const workingDirectory = process.cwd()
  for (const path of [results, folder, workingDirectory]) {
    if (!/\p{Cc}/u.test(path)) continue
    throw new UsageError(`${where}: folders of a job must be of one line, got ${JSON.stringify(path)}`)
  }
  return {
    name: name.replace(/\p{Cc}+/gu, ' '),
    command: [...(scheduler.seesFiles ? programWords() : ['pmoe']), ...words, '--out', results],
    tasks: Math.min(asked.tasks ?? usualTasks, runs),
    resources,
    workingDirectory,
    folder,
    results,
    options,
  }
}

/** The words that start this program where its files are seen: TypeScript sources are run through tsx. */
function programWords(): string[] {
  const isSource = import.meta.url.endsWith('.ts')
  const file = fileURLToPath(new URL(`../../cli.${isSource ? 'ts' : 'js'}`, import.meta.url))
  const loader = isSource ? ['--import', import.meta.resolve('tsx')] : []
  return [process.execPath, ...loader, file]
}

/** Writes the file of a job; one of other content, which may have been changed by hand, stays and the new one is numbered. */
async function writeJob(folder: string, name: string, text: string): Promise<string> {
  await makeFolder(folder)
  const extension = extname(name)
  for (let number = 1; ; number++) {
    const suffix = number === 1 ? '' : `-${number}`
    const path = join(folder, `${basename(name, extension)}${suffix}${extension}`)
    const before = await readTextFile(path).catch((error: unknown) => {
      if (isMissing(error)) return undefined
      throw error
    })
    if (before === text) return path
    if (before !== undefined) continue
    await writeFileAtomic(path, text)
    return path
  }
}

/** Runs the command that submits a job; people see what it says. */
async function submitted(words: readonly string[], { where, json }: Grid): Promise<void> {
  const [program = '', ...rest] = words
  const advice = `the job is written; submit it where that works: ${shellCommand(words)}`
  const code = await new Promise<number | string>((end, fail) => {
    const child = spawn(program, rest, { stdio: ['ignore', json ? process.stderr : 'inherit', 'inherit'] })
    child.on('error', (cause: NodeJS.ErrnoException) => {
      const what =
        cause.code === 'ENOENT' ? 'a command of this machine, got none' : `started, got ${cause.message}`
      fail(new Error(`${where}: ${program} must be ${what} (${advice})`, { cause }))
    })
    child.on('close', (status, signal) => end(status ?? signal ?? 'nothing'))
  })
  if (code !== 0) throw new Error(`${where}: ${program} must succeed, got its end with ${code} (${advice})`)
}
