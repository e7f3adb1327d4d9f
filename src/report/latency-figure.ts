import type { TopLevelSpec } from 'vega-lite'
import { chartConfig, seriesColors } from './charts.js'

/** How long a model takes, somewhere, for a number of samples at a time. */
export interface LatencyPoint {
  /** What the legend calls the model. */
  readonly model: string
  /** What computes it; each has its own line. */
  readonly computedBy: string
  /** Samples at a time; each number has its own panel. */
  readonly batch: number
  /** Of one batch, in seconds: the median, and what 95 % of the batches stay below. */
  readonly median: number
  readonly percentile95: number
}

/**
 * The vega-lite specification of latencies in milliseconds on a logarithmic scale: a point at the median with a line to
 * the 95th percentile, one panel for each batch size, one colour a model.
 *
 * @throws RangeError for no points, or a time that is not above 0
 */
export function latencyFigureSpec(
  points: readonly LatencyPoint[],
  { title, width = 250 }: { readonly title: string; readonly width?: number },
): TopLevelSpec {
  const where = 'latencyFigureSpec'
  if (points.length === 0) throw new RangeError(`${where}: points must hold at least 1 point, got 0`)
  const wrong = points.find(({ median, percentile95 }) => !(median > 0 && percentile95 > 0))
  if (wrong) {
    throw new RangeError(
      `${where}: times must be above 0, got ${wrong.median} and ${wrong.percentile95} (${wrong.model})`,
    )
  }
  const models = [...new Set(points.map(({ model }) => model))]
  const computers = [...new Set(points.map(({ computedBy }) => computedBy))]
  const batches = [...new Set(points.map(({ batch }) => batch))]
  const color = {
    field: 'model',
    type: 'nominal',
    scale: { domain: models, range: models.map((_, i) => seriesColors[i % seriesColors.length]!.light) },
    legend: { title: null, columns: 1, symbolSize: 120, symbolStrokeWidth: 0, symbolOpacity: 1 },
  } as const
  const y = {
    y: {
      field: 'computedBy',
      type: 'nominal',
      sort: computers,
      title: null,
      axis: { grid: true, labelLimit: 220 },
    },
    yOffset: { field: 'model', type: 'nominal', sort: models },
    color,
  } as const
  const x = millisecondAxis(points.map(rowOf).flatMap(({ median, upper }) => [median, upper]))
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'transparent',
    padding: 4,
    title: { text: title, anchor: 'start' },
    vconcat: batches.map(batch => ({
      title: { text: `batch of ${batch}`, fontSize: 12, anchor: 'start' },
      data: { values: points.filter(point => point.batch === batch).map(rowOf) },
      width,
      height: { step: Math.max(9, 22 / models.length) },
      layer: [
        {
          mark: { type: 'rule', strokeWidth: 2, opacity: 0.5 },
          encoding: { ...y, x: { ...x, field: 'median' }, x2: { field: 'upper' } },
        },
        {
          mark: { type: 'point', filled: true, size: 55, opacity: 1 },
          encoding: { ...y, x: { ...x, field: 'median' } },
        },
      ],
    })),
    config: chartConfig,
  }
}

/** Times in milliseconds. */
function rowOf({ model, computedBy, median, percentile95 }: LatencyPoint) {
  return { model, computedBy, median: 1000 * median, upper: 1000 * percentile95 }
}

/** One axis for all panels, with ticks at 1, 10, 100 and, where these are few, at 2 and 5 between them. */
function millisecondAxis(times: readonly number[]) {
  const domain = [Math.min(...times) * 0.9, Math.max(...times) * 1.1] as [number, number]
  const isInside = (tick: number) => tick >= domain[0] && tick <= domain[1]
  const ticks = (digits: readonly number[]) => {
    const powers = Array.from({ length: 16 }, (_, i) => 10 ** (i - 6))
    return powers.flatMap(power => digits.map(digit => digit * power)).filter(isInside)
  }
  const few = ticks([1])
  const values = few.length >= 3 ? few : ticks([1, 2, 5])
  const axis = { format: '~r', ...(values.length > 1 && { values }) }
  return { type: 'quantitative', title: 'ms', scale: { type: 'log', domain, nice: false }, axis } as const
}
