import type { LatencyJob, MeasuredBackend } from './latency-jobs.js'
import { measureInProcess, workerCommand } from './latency-processes.js'
import type { MeasuredCase, PlannedMeasurement } from './latency-table.js'
import type { PreparedModel } from './prepared-model.js'
import { type Sitting, sit } from './sitting.js'

/** How networks are measured. */
export interface LatencySettings {
  readonly batches: readonly number[]
  /** Numbers of threads; backends that have one thread are measured once. */
  readonly threads: readonly number[]
  readonly backends: readonly MeasuredBackend[]
  /** How often the processes take turns. */
  readonly rounds: number
  readonly warmUp: number
  readonly runs: number
  readonly seconds: number
}

/** A model that could not be made ready, and why. */
export interface UnpreparedModel {
  readonly name: string
  readonly problem: string
}

type Measured = PlannedMeasurement & { readonly full?: LatencyJob }

/** Every measurement of some models: each engine, number of threads and batch size. */
export function latencyPlan(
  models: readonly (PreparedModel | UnpreparedModel)[],
  settings: LatencySettings,
): Measured[] {
  return models.flatMap(model =>
    'problem' in model
      ? [{ model: { name: model.name }, who: model.name, impossible: model.problem }]
      : ofModel(model, settings),
  )
}

/**
 * Takes the measurements of a plan, each in a process of its own, in turn round by round.
 *
 * @param signal ends them, with its reason as the error
 * @param progress is told of each that begins
 */
export function takeLatencies(
  plan: readonly Measured[],
  { rounds }: Pick<LatencySettings, 'rounds'>,
  {
    signal,
    progress,
  }: { readonly signal?: AbortSignal; progress(done: number, total: number, who: string): void },
): Promise<Sitting> {
  const commands = inTurn(plan).flatMap(({ who, full }) => (full ? [workerCommand(who, full)] : []))
  let begun = 0
  return sit('latency', commands, rounds, {
    ...(signal && { signal }),
    log: () => {},
    run(command) {
      progress(begun++, commands.length * rounds, command.who)
      return measureInProcess(command, signal)
    },
  })
}

/** The order in which measurements are taken: those that are compared with each other are close to each other. */
export function inTurn(plan: readonly Measured[]): readonly Measured[] {
  const computers = plan.map(({ job }) => computerOf(job))
  const keyOf = ({ job }: Measured) => [
    job?.batch ?? 0,
    job?.threads ?? 0,
    computers.indexOf(computerOf(job)),
  ]
  return plan.toSorted((a, b) => {
    const [left, right] = [keyOf(a), keyOf(b)]
    return left.map((key, i) => key - (right[i] ?? 0)).find(difference => difference !== 0) ?? 0
  })
}

function computerOf(job: MeasuredCase | undefined): string {
  return `${job?.engine} ${job?.backend}`
}

function ofModel(model: PreparedModel, settings: LatencySettings): Measured[] {
  const { batches, warmUp, runs, seconds } = settings
  return enginesOf(model, settings.backends).flatMap(({ engine, backend, path, impossible }) =>
    threadsOf(backend, settings.threads).flatMap(threads =>
      batches.map(batch => {
        const job = { engine, backend, threads, batch }
        const { inputs, images } = model
        const full: LatencyJob = {
          ...job,
          ...{ kind: 'latency', path, inputs, warmUp, runs, seconds },
          ...(images !== undefined && { images }),
        }
        const plural = threads === 1 ? 'thread' : 'threads'
        const where = engine === 'onnx' ? 'ONNX Runtime' : `${engine} on ${backend}`
        const who = `${model.name}, ${where}, ${threads} ${plural}, batch ${batch}`
        return { model, job, who, ...(impossible === undefined ? { full } : { impossible }) }
      }),
    ),
  )
}

function enginesOf(model: PreparedModel, backends: readonly MeasuredBackend[]) {
  const { tfjs, onnx, savedmodel, notExported } = model
  const engines: (Pick<LatencyJob, 'engine' | 'backend' | 'path'> & { impossible?: string })[] = []
  const own = backends.filter(backend => backend !== 'onnxruntime')
  if (tfjs !== undefined) {
    for (const backend of own) {
      for (const engine of ['layers', 'forInference'] as const) engines.push({ engine, backend, path: tfjs })
    }
  }
  if (savedmodel !== undefined) {
    const backend = own.find(name => name.startsWith('tensorflow')) ?? 'tensorflow'
    engines.push({ engine: 'savedmodel', backend, path: savedmodel })
  }
  // A file that was named is measured whatever there is.
  if (backends.includes('onnxruntime') || (onnx !== undefined && tfjs === undefined)) {
    const backend = 'onnxruntime'
    if (onnx !== undefined) engines.push({ engine: 'onnx', backend, path: onnx })
    if (notExported !== undefined)
      engines.push({ engine: 'onnx', backend, path: '', impossible: notExported })
  }
  return engines
}

/** wasm and plain JavaScript have one thread in Node.js. */
function threadsOf(backend: MeasuredBackend, threads: readonly number[]): readonly number[] {
  return backend === 'wasm' || backend === 'cpu' ? [1] : threads
}
