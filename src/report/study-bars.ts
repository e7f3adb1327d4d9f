import type { TopLevelSpec } from 'vega-lite'
import { chartConfig, seriesColors } from './charts.js'

/** How much more accurate a setting is than the one that it is compared with. */
export interface DifferenceBar {
  readonly name: string
  /** The group of bars that it belongs to, such as a number of training images. */
  readonly group: string
  /** A difference of shares, in [-1, 1]. */
  readonly mean: number
  readonly interval?: { readonly lower: number; readonly upper: number }
}

/**
 * The vega-lite specification of differences with their intervals: one line per setting, and a vertical line at 0.
 *
 * @param bars in the order in which they are shown
 * @throws RangeError for no bars or a difference out of range
 */
export function differenceFigureSpec(
  bars: readonly DifferenceBar[],
  { title, x, width = 420 }: { readonly title: string; readonly x: string; readonly width?: number },
): TopLevelSpec {
  const where = 'differenceFigureSpec'
  if (bars.length === 0) throw new RangeError(`${where}: bars must hold at least 1 bar, got 0`)
  const wrong = bars.find(({ mean }) => !(mean >= -1 && mean <= 1))
  if (wrong) throw new RangeError(`${where}: means must be in [-1, 1], got ${wrong.mean} (${wrong.name})`)
  const names = [...new Set(bars.map(({ name }) => name))]
  const groups = [...new Set(bars.map(({ group }) => group))]
  const values = bars.map(({ name, group, mean, interval }) => ({
    name,
    group,
    mean: 100 * mean,
    ...(interval && { lower: 100 * interval.lower, upper: 100 * interval.upper }),
  }))
  const encoding = {
    y: { field: 'name', type: 'nominal', sort: names, title: null, axis: { grid: true, labelLimit: 260 } },
    yOffset: { field: 'group', type: 'nominal', sort: groups },
    color: {
      field: 'group',
      type: 'nominal',
      scale: { domain: groups, range: groups.map((_, i) => seriesColors[i % seriesColors.length]!.light) },
      legend: { title: null, direction: 'horizontal', symbolSize: 120, symbolStrokeWidth: 0 },
    },
  } as const
  const xAxis = { type: 'quantitative', title: x, axis: { format: '+.3~r', tickCount: 7 } } as const
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    width,
    height: { step: 15 },
    background: 'transparent',
    padding: 4,
    title: { text: title, anchor: 'start', frame: 'group' },
    data: { values },
    layer: [
      { mark: { type: 'rule', color: '#8a949e' }, encoding: { x: { datum: 0 } } },
      {
        transform: [{ filter: 'isValid(datum.lower)' }],
        mark: { type: 'rule', strokeWidth: 2, opacity: 0.6 },
        encoding: { ...encoding, x: { ...xAxis, field: 'lower' }, x2: { field: 'upper' } },
      },
      {
        mark: { type: 'point', filled: true, size: 60, opacity: 1 },
        encoding: { ...encoding, x: { ...xAxis, field: 'mean' } },
      },
    ],
    config: chartConfig,
  }
}
