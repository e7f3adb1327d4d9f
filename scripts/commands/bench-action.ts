import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { findNative, whyUnusable } from '../../src/backend/native/native.js'
import { shellCommand } from '../../src/cluster/shell-command.js'
import { checkPlace, placeExport } from '../../src/files/export-output.js'
import { namedImages } from '../run/image-paths.js'
import type { MeasuredBackend } from '../run/measuring/latency-jobs.js'
import {
  type LatencySettings,
  latencyPlan,
  takeLatencies,
  type UnpreparedModel,
} from '../run/measuring/latency-plan.js'
import { prepareInProcess } from '../run/measuring/latency-processes.js'
import {
  type LatencyResults,
  resultsFolder,
  resultsFormat,
  resultsText,
  writeResults,
} from '../run/measuring/latency-results.js'
import { type LatencyRow, latencyRows } from '../run/measuring/latency-table.js'
import { describeMachine } from '../run/measuring/machine.js'
import type { PreparedModel } from '../run/measuring/prepared-model.js'
import { interruptedExitCode, onInterrupt } from '../terminal/interrupt.js'
import { packageVersion } from '../terminal/package-version.js'
import { progressLog } from '../terminal/progress-log.js'
import { noteText } from '../terminal/safe-output.js'
import { UsageError } from '../terminal/usage-error.js'

/** The flags of `pmoe bench`. */
export interface BenchRequest {
  readonly batch: readonly number[]
  readonly backend?: readonly MeasuredBackend[]
  readonly threads?: readonly number[]
  readonly images?: readonly string[]
  readonly rounds: number
  readonly warmUp: number
  readonly runs: number
  readonly out?: string
  readonly force?: boolean
  readonly json?: boolean
}

/** After how many seconds a process begins no further prediction. */
const secondsOfProcess = 3
/** Images that are decoded, at most; a larger batch repeats them. */
const mostImages = 256

/**
 * Measures models, and writes the table of their times.
 *
 * @throws UsageError for a call that cannot work; Error at the end, where something could not be measured
 */
export async function runBench(paths: readonly string[], request: BenchRequest): Promise<void> {
  const repeated = paths.find((path, i) => paths.indexOf(path) < i)
  if (repeated !== undefined) throw new UsageError(`bench: models must differ, got ${repeated} twice`)
  const { out, force = false } = request
  const place = out === undefined ? undefined : { where: 'bench', path: out, force, folder: resultsFolder }
  if (place) await checkPlace(place)
  const images = request.images ? await imagePaths(request.images) : []
  const machine = describeMachine()
  const settings = settingsOf(request)
  const interrupt = onInterrupt(() => process.stderr.write('Stopping ...\n'))
  const folder = await mkdtemp(join(tmpdir(), 'pmoe-bench-'))
  try {
    const models = await preparedModels(paths, images, folder, interrupt.signal)
    const rows = await measuredRows(models, settings, interrupt.signal)
    const results: LatencyResults = {
      ...{ format: resultsFormat, version: packageVersion(), command: commandText(paths, request) },
      ...{ machine, settings, images: images.length > 0 ? images.length : 'noise', rows },
    }
    if (place) await placeExport(place, directory => writeResults(directory, results))
    const columns = process.stdout.isTTY ? process.stdout.columns : Infinity
    process.stdout.write(`${request.json ? JSON.stringify(results) : resultsText(results, columns)}\n`)
    refuseFailures(rows)
  } catch (error) {
    if (!interrupt.signal.aborted) throw error
    process.exitCode = interruptedExitCode
  } finally {
    interrupt.release()
    await rm(folder, { recursive: true, force: true })
  }
}

async function imagePaths(named: readonly string[]): Promise<readonly string[]> {
  const { paths, notes, unreadable } = await namedImages(named)
  for (const note of notes) process.stderr.write(`${noteText(note)}\n`)
  const [missing] = unreadable
  if (missing) throw new UsageError(`bench: --images must be readable, got ${missing.reason}`)
  return paths.slice(0, mostImages)
}

function settingsOf({ batch, threads, backend, rounds, warmUp, runs }: BenchRequest): LatencySettings {
  return {
    batches: [...new Set(batch)],
    threads: threads ? [...new Set(threads)] : [availableParallelism()],
    backends: backend ? [...new Set(backend)] : availableBackends(),
    ...{ rounds, warmUp, runs, seconds: secondsOfProcess },
  }
}

/** What can compute on this machine, as far as installed files show; nothing is loaded. */
function availableBackends(): MeasuredBackend[] {
  const hasNative = findNative().some(candidate => whyUnusable(candidate) === undefined)
  return [
    ...(hasNative ? (['tensorflow'] as const) : []),
    'wasm',
    ...(hasOnnxRuntime() ? (['onnxruntime'] as const) : []),
  ]
}

function hasOnnxRuntime(): boolean {
  try {
    import.meta.resolve('onnxruntime-node')
    return true
  } catch {
    return false
  }
}

async function preparedModels(
  paths: readonly string[],
  images: readonly string[],
  folder: string,
  signal: AbortSignal,
): Promise<(PreparedModel | UnpreparedModel)[]> {
  const models: (PreparedModel | UnpreparedModel)[] = []
  for (const [i, path] of paths.entries()) {
    const own = join(folder, String(i))
    await mkdir(own)
    try {
      const job = { kind: 'preparation', path, folder: own, images } as const
      const preparation = await prepareInProcess(job, signal)
      for (const note of preparation.notes) process.stderr.write(`${noteText(note)}\n`)
      models.push(...preparation.models)
    } catch (error) {
      signal.throwIfAborted()
      models.push({ name: path, problem: (error as Error).message })
    }
  }
  return models
}

async function measuredRows(
  models: readonly (PreparedModel | UnpreparedModel)[],
  settings: LatencySettings,
  signal: AbortSignal,
): Promise<LatencyRow[]> {
  const plan = latencyPlan(models, settings)
  const log = progressLog('Measuring', 'measurements', {}, { out: process.stderr })
  try {
    const progress = (done: number, total: number, who: string) => log.update(done, total, 0, `  ${who}`)
    return latencyRows(plan, await takeLatencies(plan, settings, { signal, progress }))
  } finally {
    log.close()
  }
}

/** The call, without its paths. */
function commandText(
  paths: readonly string[],
  { batch, backend, threads, images, rounds, warmUp, runs }: BenchRequest,
) {
  return shellCommand([
    'pmoe',
    'bench',
    ...paths.map(path => basename(path)),
    ...['--batch', batch.join()],
    ...(backend ? ['--backend', backend.join()] : []),
    ...(threads ? ['--threads', threads.join()] : []),
    ...(images ? ['--images', 'DIR'] : []),
    ...['--rounds', String(rounds), '--warm-up', String(warmUp), '--runs', String(runs)],
  ])
}

/** @throws Error telling how much could not be measured */
function refuseFailures(rows: readonly LatencyRow[]): void {
  const failed = rows.filter(({ error }) => error !== undefined).length
  if (failed === 0) return
  throw new Error(`bench: ${failed} of ${rows.length} measurements failed (their lines say why)`)
}
