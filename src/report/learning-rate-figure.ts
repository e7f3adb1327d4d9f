import type { TopLevelSpec } from 'vega-lite'
import { chartConfig, seriesColors } from './charts.js'

/** One step of a search for a learning rate. */
export interface RateFigurePoint {
  readonly learningRate: number
  /** In nats. */
  readonly loss: number
  readonly smoothed: number
}

/**
 * The vega-lite specification of the loss over the learning rate, on a logarithmic scale: each step a point, the smoothed loss a line,
 * and the suggested rate a dashed line.
 *
 * @throws RangeError for no points
 */
export function learningRateFigureSpec(
  points: readonly RateFigurePoint[],
  { title, suggestion }: { readonly title: string; readonly suggestion?: number | undefined },
): TopLevelSpec {
  if (points.length === 0) {
    throw new RangeError('learningRateFigureSpec: points must hold at least 1 point, got 0')
  }
  const [blue, orange] = seriesColors
  const x = {
    field: 'learningRate',
    type: 'quantitative',
    scale: { type: 'log' },
    title: 'learning rate',
    axis: { format: '~g' },
  } as const
  // What runs away at the end would flatten all that matters.
  const most = 1.5 * Math.max(...points.slice(0, Math.ceil(points.length / 2)).map(({ loss }) => loss))
  const y = (field: 'loss' | 'smoothed') =>
    ({ field, type: 'quantitative', title: 'loss', scale: { zero: false, domainMax: most } }) as const
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'transparent',
    padding: 4,
    title: { text: title, anchor: 'start' },
    width: 520,
    height: 260,
    data: { values: points.map(point => ({ ...point })) },
    layer: [
      {
        mark: { type: 'point', filled: true, size: 16, opacity: 0.35, color: blue?.light ?? '', clip: true },
        encoding: { x, y: y('loss') },
      },
      {
        mark: { type: 'line', strokeWidth: 2, color: blue?.light ?? '', clip: true },
        encoding: { x, y: y('smoothed') },
      },
      ...(suggestion === undefined
        ? []
        : [
            {
              data: { values: [{ learningRate: suggestion }] },
              mark: { type: 'rule' as const, strokeDash: [4, 4], color: orange?.light ?? '' },
              encoding: { x },
            },
          ]),
    ],
    config: chartConfig,
  }
}
