import type { TopLevelSpec } from 'vega-lite'
import { chartConfig, seriesColors } from './charts.js'

/** A bound and what was measured, along one of its quantities. */
export interface BoundCurve {
  /** The quantity that varies; each has its own panel. */
  readonly letter: string
  /** Terms of the bound are above 0; a gap may be 0 or negative. */
  readonly points: readonly {
    readonly value: number
    /** Test minus training loss. */
    readonly gap: number
    readonly routerTerm: number
    readonly expertTerm: number
  }[]
}

/** Gaps below this, and those that are negative, are drawn here: a logarithmic axis has no 0. */
const LEAST_GAP = 1e-4

const names = { gap: 'measured gap', routerTerm: 'router term', expertTerm: 'expert term' } as const

/**
 * The vega-lite specification of a bound's terms and the measured gap, one panel a quantity, on logarithmic scales; from 1
 * on, where a bound is vacuous, the ground is grey.
 *
 * @throws RangeError for no points, a term that is not above 0, or a number that is not finite
 */
export function boundFigureSpec(
  curves: readonly BoundCurve[],
  {
    title,
    subtitle,
    side = 210,
  }: { readonly title: string; readonly subtitle: string; readonly side?: number },
): TopLevelSpec {
  const rows = rowsOf(curves)
  const most = Math.max(10, ...rows.map(({ height }) => height)) * 2
  const least = Math.min(LEAST_GAP, ...rows.map(({ height }) => height)) / 1.5
  const encoding = encodingOf(least, most)
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'transparent',
    padding: 4,
    title: {
      text: title,
      anchor: 'start',
      subtitle: [subtitle, `grey: vacuous, 1 or more; hollow: a gap below ${LEAST_GAP}, drawn there`],
    },
    data: { values: rows },
    facet: {
      column: {
        field: 'letter',
        type: 'nominal',
        sort: [...new Set(curves.map(({ letter }) => letter))],
        title: null,
        header: { labelFontSize: 13, labelFont: chartConfig.font },
      },
    },
    resolve: { scale: { x: 'independent' } },
    spec: {
      width: side,
      height: side,
      layer: layersOf(encoding, most),
    },
    config: chartConfig,
  }
}

/** Axes and colours; heights from `least` to `most`. */
function encodingOf(least: number, most: number) {
  const series = Object.values(names)
  return {
    // Values double from one to the next: evenly spaced they are on a logarithmic scale.
    x: { field: 'value', type: 'ordinal', title: null, axis: { labelAngle: 0 } },
    y: {
      field: 'height',
      type: 'quantitative',
      title: 'loss, or bound of it',
      scale: { type: 'log', domain: [least, most] as [number, number], nice: false, clamp: true },
      axis: { format: '~g', tickCount: 6 },
    },
    color: {
      field: 'series',
      type: 'nominal',
      scale: { domain: series, range: series.map((_, i) => (seriesColors[i] as { light: string }).light) },
      legend: { title: null, direction: 'horizontal', symbolSize: 120, symbolStrokeWidth: 0 },
    },
  } as const
}

/** The grey ground, the lines, and points: full ones, and hollow ones for gaps that are drawn at the least height. */
function layersOf(encoding: ReturnType<typeof encodingOf>, most: number) {
  const point = { type: 'point', size: 42 } as const
  return [
    {
      transform: [{ aggregate: [{ op: 'count' as const, as: 'rows' }], groupby: ['letter'] }],
      mark: { type: 'rect' as const, color: '#e9ebee' },
      encoding: { y: { datum: 1, type: 'quantitative' as const }, y2: { datum: most } },
    },
    { mark: { type: 'line' as const, strokeWidth: 2.2 }, encoding },
    {
      transform: [{ filter: '!datum.clipped' }],
      mark: { ...point, filled: true, opacity: 1 },
      encoding,
    },
    {
      transform: [{ filter: 'datum.clipped' }],
      mark: { ...point, filled: false, fill: '#ffffff', strokeWidth: 1.6, opacity: 1 },
      encoding,
    },
  ]
}

function rowsOf(curves: readonly BoundCurve[]) {
  const where = 'boundFigureSpec'
  const rows = curves.flatMap(({ letter, points }) =>
    points.flatMap(point =>
      (Object.keys(names) as (keyof typeof names)[]).map(name => {
        const height = point[name]
        const fits = Number.isFinite(height) && (name === 'gap' || height > 0)
        if (!fits || !(point.value > 0)) {
          throw new RangeError(
            `${where}: terms and values must be above 0, got ${name} ${height} (${letter} = ${point.value})`,
          )
        }
        const clipped = name === 'gap' && height < LEAST_GAP
        return {
          letter,
          value: point.value,
          series: names[name],
          height: clipped ? LEAST_GAP : height,
          clipped,
        }
      }),
    ),
  )
  if (rows.length > 0) return rows
  throw new RangeError(`${where}: curves must hold at least 1 point, got 0 in ${curves.length} curves`)
}
