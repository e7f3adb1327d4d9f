import type { TopLevelSpec } from 'vega-lite'
import { type ChartSize, chartConfig, seriesColors } from './charts.js'

/** The accuracy of one model against the number of training images. */
export interface AccuracyCurve {
  /** What the legend calls the model. */
  readonly name: string
  /** Mean over the seeds, a share in [0, 1], and the interval that a band shows. */
  readonly points: readonly {
    readonly samples: number
    readonly mean: number
    readonly interval?: { readonly lower: number; readonly upper: number }
  }[]
  /** Numbers of the paper for the same model, drawn hollow and dashed; shares in [0, 1]. */
  readonly published?: readonly { readonly samples: number; readonly accuracy: number }[]
}

/** One cell of a phase map. */
export interface PhaseCell {
  readonly x: number
  readonly y: number
  /** Share of successful trials, in [0, 1]. */
  readonly share: number
}

/** The share of a class's images that an expert received. */
export interface DispatchShare {
  readonly className: string
  /** Counted from 0; shown from 1. */
  readonly expert: number
  /** In [0, 1]. */
  readonly share: number
}

/** The texts and the size of a figure. */
export interface FigureTitles extends ChartSize {
  readonly title: string
  readonly x?: string
  readonly y?: string
}

const measured = 'measured'
const published = 'the paper'

/** The paper's lines are dashed; the subtitle says so, since a legend of lines would not explain its single points. */
const strokeDash = {
  field: 'source',
  type: 'nominal',
  scale: {
    domain: [measured, published],
    range: [
      [1, 0],
      [5, 4],
    ] as number[][],
  },
  legend: null,
} as const

interface AccuracyRow {
  readonly model: string
  readonly source: string
  readonly samples: number
  readonly accuracy: number
  readonly lower?: number
  readonly upper?: number
}

const schema = 'https://vega.github.io/schema/vega-lite/v6.json'

/**
 * The vega-lite specification of accuracies against the number of training images: one colour a model, its interval as a
 * band, the paper's own numbers dashed and hollow in the same colour.
 *
 * @param curves with different names; at least one of them must have a point
 * @throws RangeError when there is no point, two curves share a name, or a number is out of range
 */
export function accuracyFigureSpec(
  curves: readonly AccuracyCurve[],
  { title, x = 'training images', y = 'test accuracy', width = 420, height = 280 }: FigureTitles,
): TopLevelSpec {
  const where = 'accuracyFigureSpec'
  const names = curves.map(({ name }) => name)
  const repeated = names.find((name, i) => names.indexOf(name) < i)
  if (repeated !== undefined) {
    throw new RangeError(`${where}: curves must have different names, got ${repeated} twice`)
  }
  const { measuredRows, publishedRows } = accuracyRows(where, curves)
  const values: readonly AccuracyRow[] = [...measuredRows, ...publishedRows]
  const lowest = Math.min(...values.map(row => row.lower ?? row.accuracy))
  const color = colorOf('model', names)
  const xAxis = {
    field: 'samples',
    type: 'quantitative',
    title: x,
    ...samplesAxis(measuredRows, values),
  } as const
  const yAxis = {
    field: 'accuracy',
    type: 'quantitative',
    title: y,
    scale: { domain: [Math.floor(lowest * 10) / 10, 1] as [number, number], nice: false },
    axis: { format: '.0%', tickCount: 6 },
  } as const
  return {
    ...frame(
      title,
      { width, height },
      publishedRows.length > 0 ? 'hollow: the numbers of the paper' : undefined,
    ),
    data: { values: [...values] },
    layer: [
      {
        transform: [{ filter: 'isValid(datum.lower)' }],
        mark: { type: 'area', opacity: 0.18 },
        encoding: { x: xAxis, y: { ...yAxis, field: 'lower' }, y2: { field: 'upper' }, color },
      },
      {
        mark: { type: 'line', strokeWidth: 2.2 },
        encoding: { x: xAxis, y: yAxis, color, strokeDash },
      },
      pointsOf(measured, true, { x: xAxis, y: yAxis, color }),
      pointsOf(published, false, { x: xAxis, y: yAxis, color }),
    ],
  }
}

/** One row per measured point, and one per published point. */
function accuracyRows(where: string, curves: readonly AccuracyCurve[]) {
  const measuredRows = curves.flatMap(({ name, points }) =>
    points.map(({ samples, mean, interval }) => ({
      model: name,
      source: measured,
      samples,
      accuracy: checkShare(where, mean),
      ...(interval && { lower: interval.lower, upper: interval.upper }),
    })),
  )
  if (measuredRows.length === 0) {
    throw new RangeError(`${where}: curves must hold at least 1 point, got 0 in ${curves.length} curves`)
  }
  const publishedRows = curves.flatMap(curve =>
    (curve.published ?? []).map(({ samples, accuracy }) => ({
      model: curve.name,
      source: published,
      samples,
      accuracy: checkShare(where, accuracy),
    })),
  )
  return { measuredRows, publishedRows }
}

/**
 * The vega-lite specification of a phase map: white where all trials succeed, black where all fail, as in the paper's
 * Figure 5, with the share written in each cell.
 *
 * @throws RangeError for no cells or a share out of range
 */
export function phaseMapSpec(
  cells: readonly PhaseCell[],
  { title, x = 'x', y = 'y', width = 320, height = 260 }: FigureTitles,
): TopLevelSpec {
  const where = 'phaseMapSpec'
  if (cells.length === 0) throw new RangeError(`${where}: cells must hold at least 1 cell, got 0`)
  for (const { share } of cells) checkShare(where, share)
  const position = {
    x: { field: 'x', type: 'ordinal', title: x, axis: { labelAngle: 0 } },
    y: { field: 'y', type: 'ordinal', title: y, sort: 'descending' },
  } as const
  return {
    ...frame(title, { width, height }),
    data: { values: [...cells] },
    encoding: position,
    layer: [
      {
        mark: { type: 'rect', stroke: '#8a949e', strokeWidth: 0.5 },
        encoding: {
          color: {
            field: 'share',
            type: 'quantitative',
            title: 'successful trials',
            scale: { domain: [0, 1], range: ['#000000', '#ffffff'], interpolate: 'rgb' },
            legend: { format: '.0%', orient: 'right' },
          },
        },
      },
      {
        mark: { type: 'text', fontSize: 10 },
        encoding: {
          text: { field: 'share', type: 'quantitative', format: '.0%' },
          color: { condition: { test: 'datum.share > 0.5', value: '#1d2733' }, value: '#ffffff' },
        },
      },
    ],
  }
}

/**
 * The vega-lite specification of bars: for each class, which share of its images each expert received.
 *
 * @throws RangeError for no shares or one out of range
 */
export function dispatchFigureSpec(
  shares: readonly DispatchShare[],
  { title, x = 'expert', y = 'share of the class', width = 420, height = 220 }: FigureTitles,
): TopLevelSpec {
  const where = 'dispatchFigureSpec'
  if (shares.length === 0) throw new RangeError(`${where}: shares must hold at least 1 share, got 0`)
  const classes = [...new Set(shares.map(({ className }) => className))]
  const values = shares.map(({ className, expert, share }) => ({
    class: className,
    expert: expert + 1,
    share: checkShare(where, share),
  }))
  const bars = {
    x: { field: 'expert', type: 'ordinal', title: x, axis: { labelAngle: 0 } },
    xOffset: { field: 'class', type: 'nominal', sort: classes },
    color: colorOf('class', classes),
  } as const
  return {
    ...frame(title, { width, height }),
    data: { values },
    mark: { type: 'bar', cornerRadiusEnd: 2 },
    encoding: {
      ...bars,
      y: {
        field: 'share',
        type: 'quantitative',
        title: y,
        scale: { domain: [0, 1] },
        axis: { format: '.0%', tickCount: 5 },
      },
    },
  }
}

/** The horizontal axis: logarithmic with a tick at each number of images if these at least double, else linear. */
function samplesAxis(measuredRows: readonly { readonly samples: number }[], all: readonly AccuracyRow[]) {
  const counts = sampleCounts(measuredRows)
  const keepDoubling = counts.length > 2 && counts.slice(1).every((count, i) => count >= 2 * counts[i]!)
  return keepDoubling
    ? ({
        scale: { type: 'log', nice: false, padding: 8 },
        axis: { grid: false, format: ',d', values: sampleCounts(all) },
      } as const)
    : ({ scale: { zero: false, nice: false, padding: 8 }, axis: { grid: false, format: ',d' } } as const)
}

function sampleCounts(rows: readonly { readonly samples: number }[]): number[] {
  return [...new Set(rows.map(({ samples }) => samples))].sort((a, b) => a - b)
}

function frame(title: string, { width, height }: { width: number; height: number }, subtitle?: string) {
  return {
    $schema: schema,
    width,
    height,
    background: 'transparent',
    padding: 4,
    title: { text: title, anchor: 'start', frame: 'group', ...(subtitle && { subtitle }) },
    config: chartConfig,
  } as const
}

function colorOf(field: string, names: readonly string[]) {
  const range = names.map((_, i) => seriesColors[i % seriesColors.length]!.light)
  return {
    field,
    type: 'nominal',
    scale: { domain: [...names], range },
    legend: { title: null, direction: 'horizontal', symbolSize: 120, symbolOpacity: 1, symbolStrokeWidth: 0 },
  } as const
}

function pointsOf<Encoding extends object>(source: string, filled: boolean, encoding: Encoding) {
  return {
    transform: [{ filter: `datum.source === '${source}'` }],
    mark: { type: 'point' as const, filled, size: 42, opacity: 1, ...(!filled && { fill: '#ffffff' }) },
    encoding,
  }
}

function checkShare(where: string, share: number): number {
  if (share >= 0 && share <= 1) return share
  throw new RangeError(`${where}: shares must be in [0, 1], got ${share}`)
}
