import type { TopLevelSpec } from 'vega-lite'
import { chartConfig, seriesColors } from './charts.js'

/** How a cost changes with one size. */
export interface CostCurve {
  /** What the legend calls it. */
  readonly name: string
  /** The size that varies; each size has its own panel. */
  readonly axis: string
  readonly points: readonly { readonly value: number; readonly ratio: number }[]
  readonly dashed?: boolean
}

/**
 * The vega-lite specification of costs on logarithmic scales, with one panel per size: power laws are straight lines.
 *
 * @throws RangeError for no points, or one that is not above 0
 */
export function costFigureSpec(
  curves: readonly CostCurve[],
  { title, y, side = 200 }: { readonly title: string; readonly y: string; readonly side?: number },
): TopLevelSpec {
  const values = rowsOf('costFigureSpec', curves)
  const names = [...new Set(curves.map(({ name }) => name))]
  const axes = [...new Set(curves.map(({ axis }) => axis))]
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'transparent',
    padding: 4,
    title: { text: title, anchor: 'start' },
    data: { values },
    facet: {
      column: {
        field: 'axis',
        type: 'nominal',
        sort: axes,
        title: null,
        header: { labelFontSize: 13, labelFont: chartConfig.font },
      },
    },
    resolve: { scale: { x: 'independent' } },
    spec: {
      width: side,
      height: side,
      mark: { type: 'line', point: { size: 42, filled: true }, strokeWidth: 2.2 },
      encoding: encodingOf(y, names),
    },
    config: chartConfig,
  }
}

/** One row per point; both numbers must be above 0, as the scales are logarithmic. */
function rowsOf(where: string, curves: readonly CostCurve[]) {
  const rows = curves.flatMap(({ name, axis, points, dashed = false }) =>
    points.map(({ value, ratio }) => {
      if (!(value > 0 && ratio > 0)) {
        throw new RangeError(`${where}: points must be above 0, got ${value} and ${ratio} (${name}, ${axis})`)
      }
      return { name, axis, value, ratio, source: dashed ? 'counted' : 'measured' }
    }),
  )
  if (rows.length === 0) {
    throw new RangeError(`${where}: curves must hold at least 1 point, got 0 in ${curves.length} curves`)
  }
  return rows
}

/** How a panel shows its rows: one colour per name, with dashed lines for counted costs. */
function encodingOf(y: string, names: readonly string[]) {
  return {
    x: {
      field: 'value',
      type: 'quantitative',
      title: null,
      scale: { type: 'log', nice: false, padding: 8 },
      axis: { grid: false, format: '~g', tickCount: 4 },
    },
    y: {
      field: 'ratio',
      type: 'quantitative',
      title: y,
      scale: { type: 'log' },
      axis: { format: '~g', tickCount: 4 },
    },
    color: {
      field: 'name',
      type: 'nominal',
      scale: { domain: names, range: names.map((_, i) => seriesColors[i % seriesColors.length]!.light) },
      legend: {
        title: null,
        direction: 'horizontal',
        symbolSize: 120,
        symbolStrokeWidth: 0,
      },
    },
    strokeDash: {
      field: 'source',
      type: 'nominal',
      scale: {
        domain: ['measured', 'counted'],
        range: [
          [1, 0],
          [5, 4],
        ],
      },
      legend: null,
    },
  } as const
}
