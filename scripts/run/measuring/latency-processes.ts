import { fileURLToPath } from 'node:url'
import { type ChildCommand, childOutput } from './child-process.js'
import { type ChildReport, parseChildReport } from './child-report.js'
import type { PreparationJob, WorkerFailure, WorkerJob } from './latency-jobs.js'
import type { Preparation } from './prepared-model.js'

/**
 * Makes a model ready in a process of its own, so that one that takes too much memory takes no other with it.
 *
 * @param signal ends it, with its reason as the error
 * @throws Error when the model cannot be read
 */
export async function prepareInProcess(job: PreparationJob, signal?: AbortSignal): Promise<Preparation> {
  return answerOf(await childOutput(workerCommand(job.path, job), signal)) as Preparation
}

/** Takes one measurement, as {@link prepareInProcess}. */
export async function measureInProcess(command: ChildCommand, signal?: AbortSignal): Promise<ChildReport> {
  const output = await childOutput(command, signal)
  answerOf(output)
  return parseChildReport(output, command.who)
}

/** The process that does a job, with as many threads as the job has. */
export function workerCommand(who: string, job: WorkerJob): ChildCommand {
  const isSource = import.meta.url.endsWith('.ts')
  const entry = fileURLToPath(new URL(`./latency-worker.${isSource ? 'ts' : 'js'}`, import.meta.url))
  // TypeScript sources are imported through tsx.
  const loader = isSource ? ['--import', import.meta.resolve('tsx')] : []
  const threads = job.kind === 'latency' ? { threads: job.threads } : {}
  return {
    who,
    program: process.execPath,
    arguments: [...loader, entry, JSON.stringify(job)],
    environment: { TF_CPP_MIN_LOG_LEVEL: '2', ...threadVariables(threads) },
  }
}

/** What tells TensorFlow, and the libraries in it, how many threads to use. */
function threadVariables({ threads }: { readonly threads?: number }): Record<string, string> {
  if (threads === undefined) return {}
  return {
    TF_NUM_INTRAOP_THREADS: String(threads),
    TF_NUM_INTEROP_THREADS: '1',
    OMP_NUM_THREADS: String(threads),
  }
}

/** What a process printed as its last line. */
function answerOf(output: string): unknown {
  const answer: unknown = JSON.parse(output.trimEnd().split('\n').at(-1) || '{}')
  const { error } = answer as Partial<WorkerFailure>
  if (error !== undefined) throw new Error(error)
  return answer
}
