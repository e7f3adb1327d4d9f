import type { TopLevelSpec } from 'vega-lite'
import { printable } from './escape.js'

/** What one epoch of training measured; losses in nats, accuracies in [0, 1]. */
export interface CurvePoint {
  /** Epoch, counted from 1. */
  readonly epoch: number
  readonly trainLoss: number
  readonly trainAccuracy: number
  readonly validationLoss?: number | undefined
  readonly validationAccuracy?: number | undefined
  readonly testLoss?: number | undefined
  readonly testAccuracy?: number | undefined
}

/** The learning curve of one run, as a chart shows it. */
export interface LearningCurve {
  /** What the legend calls the run. */
  readonly name: string
  readonly points: readonly CurvePoint[]
}

/** What a chart of learning curves shows over the epochs. */
export type CurveMeasure = 'accuracy' | 'loss'

/** How large a chart is, in pixels of the plot without its axes and labels. */
export interface ChartSize {
  /** Default 380. */
  readonly width?: number
  /** Default 230. */
  readonly height?: number
}

/**
 * The colours of the runs of a chart, in order: Okabe and Ito's palette (2008), which stays
 * distinguishable under the common kinds of colour blindness, each with its lighter twin for dark pages.
 */
export const seriesColors: readonly { readonly light: string; readonly dark: string }[] = [
  { light: '#0072b2', dark: '#56b4e9' },
  { light: '#d55e00', dark: '#ff9a4d' },
  { light: '#00805f', dark: '#2fc79d' },
  { light: '#b0548b', dark: '#e3a0c8' },
  { light: '#8a6d00', dark: '#e6c229' },
  { light: '#555555', dark: '#bbbbbb' },
]

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", Arial, sans-serif'
const INK = '#44505c'
const GRID = '#dfe4e9'
const LABEL_GAP_PX = 15

type MeasuredSet = 'test' | 'validation' | 'training'

/** How the line of each set is drawn, in pixels of line and gap. */
const dashes: Readonly<Record<MeasuredSet, readonly number[]>> = {
  test: [1, 0],
  validation: [8, 3],
  training: [4, 4],
}
const sets = Object.keys(dashes) as MeasuredSet[]

interface Row {
  readonly run: string
  readonly set: MeasuredSet
  readonly epoch: number
  readonly value: number
}

interface EndLabel {
  readonly run: string
  readonly epoch: number
  readonly at: number
  readonly label: string
}

/**
 * The vega-lite specification of learning curves: one colour a run, solid for the test set, with long dashes for the
 * validation set and short ones for the training set; each run's name is written at the end of its line, with the last
 * value of the first of these sets that it has. A test set that was measured once is a point.
 *
 * @param curves the runs; their names must differ
 * @param measure accuracy in percent, or loss (cross-entropy, in nats)
 * @throws RangeError when no run has a finite value, or two runs share a name
 */
export function learningCurveSpec(
  curves: readonly LearningCurve[],
  measure: CurveMeasure,
  { width = 380, height = 230 }: ChartSize = {},
): TopLevelSpec {
  refuseSharedNames(curves)
  const rows = curves.flatMap(curve => curveRows(curve, measure))
  if (rows.length === 0) {
    throw new RangeError(
      `learningCurveSpec: curves must hold a finite ${measure}, got none in ${curves.length} runs`,
    )
  }
  const domain = valueDomain(rows, measure)
  const lastEpoch = Math.max(...rows.map(row => row.epoch))
  const x = epochAxis(lastEpoch)
  const y = valueAxis(domain, measure)
  const color = colorOfRun(curves.map(curve => curve.name))
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    width,
    height,
    background: 'transparent',
    padding: 4,
    title: {
      text: measure === 'accuracy' ? 'Accuracy' : 'Loss (cross-entropy)',
      anchor: 'start',
      frame: 'group',
    },
    layer: [
      {
        data: { values: rows },
        mark: {
          type: 'line',
          strokeWidth: 2.2,
          strokeJoin: 'round',
          strokeCap: 'round',
          point: lastEpoch <= 3,
        },
        encoding: { x, y, color, strokeDash: dashOfSet(rows), opacity: paleTraining },
      },
      {
        data: { values: lastEpoch <= 3 ? [] : loneRows(rows) },
        mark: { type: 'point', filled: true, size: 45, opacity: 1 },
        encoding: { x, y, color },
      },
      {
        data: { values: endLabels(curves, rows, { measure, domain, height }) },
        mark: { type: 'text', align: 'left', baseline: 'middle', dx: 7, fontSize: 12, fontWeight: 600 },
        encoding: { x, y: { ...y, field: 'at' }, color, text: { field: 'label', type: 'nominal' } },
      },
    ],
    config: chartConfig,
  }
}

/**
 * Draws a vega-lite specification as SVG text, without a browser.
 *
 * @param spec with its data inline: nothing is fetched
 */
export async function chartSvg(spec: TopLevelSpec): Promise<string> {
  const [vega, { compile }] = await Promise.all([import('vega'), import('vega-lite')])
  const view = new vega.View(vega.parse(compile(spec).spec), { renderer: 'none' })
  try {
    // Names of runs may contain characters that XML does not allow.
    return printable(await view.toSVG())
  } finally {
    view.finalize()
  }
}

const paleTraining = { condition: { test: "datum.set === 'training'", value: 0.7 }, value: 1 } as const

/** How every chart looks. */
export const chartConfig = {
  font: FONT,
  view: { stroke: null },
  title: { fontSize: 14, fontWeight: 600, color: INK, offset: 10, subtitleColor: INK, subtitleFontSize: 11 },
  axis: {
    labelColor: INK,
    titleColor: INK,
    labelFontSize: 11,
    titleFontSize: 11,
    titleFontWeight: 400,
    gridColor: GRID,
    domain: false,
    ticks: false,
    labelPadding: 6,
  },
  legend: {
    labelColor: INK,
    titleColor: INK,
    labelFontSize: 11,
    // Without a browser the widths of texts are only estimated, and a limit could cut a label that fits.
    labelLimit: 0,
    symbolStrokeColor: INK,
    symbolSize: 400,
    orient: 'bottom',
  },
} as const

function epochAxis(lastEpoch: number) {
  return {
    field: 'epoch',
    type: 'quantitative',
    title: 'epoch',
    scale: { domain: [Math.min(1, lastEpoch - 1), lastEpoch] as [number, number], nice: false },
    axis: { tickMinStep: 1, grid: false, format: 'd' },
  } as const
}

function valueAxis(domain: [number, number], measure: CurveMeasure) {
  return {
    field: 'value',
    type: 'quantitative',
    title: null,
    scale: { domain, nice: false, zero: false },
    axis: { format: measure === 'accuracy' ? '.0%' : '~g', tickCount: 5 },
  } as const
}

function colorOfRun(names: string[]) {
  const range = names.map((_, i) => seriesColors[i % seriesColors.length]!.light)
  return { field: 'run', type: 'nominal', scale: { domain: names, range }, legend: null } as const
}

function dashOfSet(rows: readonly Row[]) {
  const shown = new Set(rows.map(row => row.set))
  return {
    field: 'set',
    type: 'nominal',
    scale: {
      domain: sets.filter(set => shown.has(set)) as string[],
      range: sets.filter(set => shown.has(set)).map(set => [...dashes[set]]),
    },
    legend: shown.size > 1 ? ({ title: null, direction: 'horizontal', offset: 4 } as const) : null,
  } as const
}

function refuseSharedNames(curves: readonly LearningCurve[]): void {
  const seen = new Set<string>()
  for (const { name } of curves) {
    if (seen.has(name))
      throw new RangeError(`learningCurveSpec: curves must have different names, got ${name} twice`)
    seen.add(name)
  }
}

function curveRows({ name, points }: LearningCurve, measure: CurveMeasure): Row[] {
  return points.flatMap(point => {
    const values: Readonly<Record<MeasuredSet, number | undefined>> =
      measure === 'accuracy'
        ? { test: point.testAccuracy, validation: point.validationAccuracy, training: point.trainAccuracy }
        : { test: point.testLoss, validation: point.validationLoss, training: point.trainLoss }
    return sets.flatMap(set => {
      const value = values[set]
      return value !== undefined && Number.isFinite(value)
        ? [{ run: name, set, epoch: point.epoch, value }]
        : []
    })
  })
}

/** What a run measured of a set in one epoch only, which makes no line. */
function loneRows(rows: readonly Row[]): Row[] {
  const key = ({ run, set }: Row) => JSON.stringify([run, set])
  const counts = new Map<string, number>()
  for (const row of rows) counts.set(key(row), (counts.get(key(row)) ?? 0) + 1)
  return rows.filter(row => counts.get(key(row)) === 1)
}

/** For accuracies, from the lowest, rounded down to tenths, up to 1; for losses, from 0 to a little above the highest. */
function valueDomain(rows: readonly Row[], measure: CurveMeasure): [number, number] {
  const values = rows.map(row => row.value)
  if (measure === 'accuracy') return [Math.min(0.9, Math.floor(Math.min(...values) * 10) / 10), 1]
  return [0, Math.max(...values) * 1.05 || 1]
}

/** The names at the ends of the lines, pushed apart until none covers another. */
function endLabels(
  curves: readonly LearningCurve[],
  rows: readonly Row[],
  { measure, domain, height }: { measure: CurveMeasure; domain: readonly [number, number]; height: number },
): EndLabel[] {
  const last = curves.flatMap(({ name }) => {
    const own = rows.filter(row => row.run === name)
    const [first] = sets.flatMap(set => own.findLast(row => row.set === set) ?? [])
    return first ?? []
  })
  const gap = (LABEL_GAP_PX / height) * (domain[1] - domain[0])
  const positions = spread(
    last.map(row => row.value),
    gap,
    domain,
  )
  return last.map(({ run, epoch, value }, i) => {
    const text = measure === 'accuracy' ? `${(value * 100).toFixed(1)}%` : value.toPrecision(3)
    return { run, epoch, at: positions[i]!, label: `${run} ${text}` }
  })
}

/**
 * Moves numbers as little as needed so that neighbours keep a distance and all stay in a range.
 *
 * @param values any order
 * @param gap the least distance between two of the results
 * @param range limits of the results; where they do not all fit, the lowest may fall below it
 * @returns the moved numbers, in the order of `values`
 */
export function spread(values: readonly number[], gap: number, range: readonly [number, number]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]! || a - b)
  const moved = order.map(i => values[i]!)
  for (let i = 1; i < moved.length; i++) moved[i] = Math.max(moved[i]!, moved[i - 1]! + gap)
  // Numbers above the range move down into it, and push the numbers below them further down.
  let ceiling = range[1]
  for (let i = moved.length - 1; i >= 0; i--) {
    moved[i] = Math.min(moved[i]!, ceiling)
    ceiling = moved[i]! - gap
  }
  const result = new Array<number>(values.length)
  order.forEach((original, i) => {
    result[original] = moved[i]!
  })
  return result
}

/** Where a panel stands: its name is written above it, that of the axis only below the last one. */
export interface PanelPlace {
  readonly title: string
  readonly isLast: boolean
}

/** Draws rows one panel below the other, in the order in which their panels first appear. */
export function panelsOf<Row extends { readonly panel: string }, Panel>(
  rows: readonly Row[],
  draw: (rows: readonly Row[], place: PanelPlace) => Panel,
): Panel[] {
  const names = [...new Set(rows.map(({ panel }) => panel))]
  return names.map((title, i) =>
    draw(
      rows.filter(row => row.panel === title),
      { title, isLast: i === names.length - 1 },
    ),
  )
}
