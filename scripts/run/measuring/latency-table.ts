import { median, quantile } from '../../../src/statistics/descriptive.js'
import { type ChildReport, factOf, secondsOf } from './child-report.js'
import type { LatencyJob } from './latency-jobs.js'
import { countText, ratioText, secondsText } from './number-text.js'
import type { PreparedModel } from './prepared-model.js'
import type { Sitting } from './sitting.js'

/** What is measured of a model. */
export type MeasuredCase = Pick<LatencyJob, 'engine' | 'backend' | 'threads' | 'batch'>

/** A measurement that was asked for, or why there can be none. */
export interface PlannedMeasurement {
  readonly model: Pick<PreparedModel, 'name' | 'denseOf' | 'multiplyAdds'>
  /** Undefined for a model of which nothing is known, since it cannot be read. */
  readonly job?: MeasuredCase
  /** Names its process. */
  readonly who: string
  readonly impossible?: string
}

/** One line of the results. */
export interface LatencyRow extends Partial<MeasuredCase> {
  readonly model: string
  /** What computed; undefined where it failed. */
  readonly software?: string
  /** Of one batch, in seconds. */
  readonly seconds?: { readonly median: number; readonly percentile95: number; readonly count: number }
  readonly samplesPerSecond?: number
  /** Resident memory of the process at its largest. */
  readonly peakBytes?: number
  /** Medians of ratios of times, round by round, over the same of another. */
  readonly over?: {
    /** The dense network of the same configuration. */
    readonly dense?: number
    /** The first model that was named. */
    readonly first?: number
    /** ONNX Runtime with the same model. */
    readonly onnx?: number
  }
  /** Multiply-adds over those of the dense network. */
  readonly work?: number
  /** Why it was not measured. */
  readonly error?: string
}

/**
 * The lines of what was measured, in the order in which it was planned.
 *
 * @param options.overFirst whether every model is compared with the first one
 */
export function latencyRows(
  planned: readonly PlannedMeasurement[],
  sitting: Sitting,
  { overFirst = true }: { readonly overFirst?: boolean } = {},
): LatencyRow[] {
  const first = overFirst ? planned[0]?.model.name : undefined
  return planned.map(measurement => rowOf(measurement, planned, sitting, first))
}

function rowOf(
  measurement: PlannedMeasurement,
  planned: readonly PlannedMeasurement[],
  sitting: Sitting,
  first: string | undefined,
): LatencyRow {
  const { model, job, who, impossible } = measurement
  const known = { model: model.name, ...job }
  const error = impossible ?? sitting.reasons.get(who)
  if (error !== undefined || !job) return { ...known, error: error ?? 'not measured' }
  const reports = sitting.reports.get(who) ?? []
  const seconds = reports.flatMap(report => secondsOf(report, 'predict'))
  const middle = median(seconds)
  const dense = planned.find(other => other.model.denseOf === model.name)?.model
  const work = dense?.multiplyAdds && model.multiplyAdds && model.multiplyAdds / dense.multiplyAdds
  return {
    ...known,
    software: (reports[0] as ChildReport).software,
    seconds: { median: middle, percentile95: quantile(seconds, 0.95), count: seconds.length },
    samplesPerSecond: job.batch / middle,
    peakBytes: Math.max(...reports.map(report => factOf(report, 'peakBytes'))),
    over: ratiosOf({ ...measurement, job }, planned, sitting, first),
    ...(work && { work }),
  }
}

/** What a measurement is compared with: others of as many samples and threads. */
function ratiosOf(
  { model, job, who }: PlannedMeasurement & { readonly job: MeasuredCase },
  planned: readonly PlannedMeasurement[],
  sitting: Sitting,
  first: string | undefined,
): NonNullable<LatencyRow['over']> {
  const over = (
    isOther: (other: PlannedMeasurement['model']) => boolean,
    computed: Pick<MeasuredCase, 'engine' | 'backend'> = job,
  ) => {
    const other = planned.find(
      candidate => isOther(candidate.model) && isSame(candidate.job, { ...job, ...computed }),
    )
    if (!other || other.who === who) return undefined
    return sitting.ratio(who, other.who, report => median(secondsOf(report, 'predict')))?.median
  }
  const ratios = {
    dense: over(other => other.denseOf === model.name),
    first: model.denseOf === undefined ? over(other => other.name === first) : undefined,
    onnx: over(other => other.name === model.name, { engine: 'onnx', backend: 'onnxruntime' }),
  }
  return Object.fromEntries(Object.entries(ratios).filter(([, ratio]) => ratio !== undefined))
}

function isSame(a: MeasuredCase | undefined, b: MeasuredCase): boolean {
  return a?.engine === b.engine && a.backend === b.backend && a.threads === b.threads && a.batch === b.batch
}

/** What computes, as people read it: `forInference, wasm`. */
export function engineText({ engine, backend }: Partial<MeasuredCase>): string {
  if (engine === undefined) return ''
  if (engine === 'onnx') return 'ONNX Runtime'
  if (engine === 'savedmodel') return 'SavedModel, tensorflow'
  return `${engine}, ${backend}`
}

/** The results as a table of texts; columns that would be empty are left out, failures are notes below it, numbered. */
export function latencyTable(rows: readonly LatencyRow[]) {
  const failures = [...new Set(rows.flatMap(({ error }) => error ?? []))]
  const over = (name: keyof NonNullable<LatencyRow['over']>) => (row: LatencyRow) =>
    row.over?.[name] === undefined ? '' : ratioText(row.over[name])
  const columns: readonly (readonly [string, (row: LatencyRow) => string])[] = [
    ['model', ({ model }) => model],
    ['computed by', engineText],
    ['threads', ({ threads }) => String(threads ?? '')],
    ['batch', ({ batch }) => String(batch ?? '')],
    [
      'median',
      ({ seconds, error }) =>
        seconds ? secondsText(seconds.median) : `failed [${failures.indexOf(error as string) + 1}]`,
    ],
    ['95 %', ({ seconds }) => (seconds ? secondsText(seconds.percentile95) : '')],
    ['samples/s', ({ samplesPerSecond: rate }) => (rate === undefined ? '' : rateText(rate))],
    ['/ dense', over('dense')],
    ['work', ({ work }) => (work === undefined ? '' : ratioText(work))],
    ['/ ONNX', over('onnx')],
    ['/ first', over('first')],
  ]
  const cells = columns.map(([, text]) => rows.map(text))
  const shown = columns.flatMap((_, i) => (cells[i]?.some(cell => cell !== '') ? [i] : []))
  return {
    head: shown.map(i => columns[i]?.[0] ?? ''),
    rows: rows.map((_, r) => shown.map(i => cells[i]?.[r] ?? '')),
    failures: failures.map((error, i) => `[${i + 1}] ${error}`),
  }
}

/** Three digits, or all of those before the point. */
function rateText(rate: number): string {
  return rate >= 100 ? countText(rate) : rate.toPrecision(3)
}
