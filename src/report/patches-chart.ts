import type { TopLevelSpec } from 'vega-lite'
import { chartConfig, seriesColors } from './charts.js'

/** One L of a curve of accuracy against time. */
export interface PatchesChartPoint {
  readonly patchesPerExpert: number
  /** In [0, 1]. */
  readonly accuracy: number
  /** Of one batch: median, least and most. */
  readonly milliseconds: { readonly median: number; readonly least: number; readonly most: number }
}

/**
 * Accuracy against the time of a batch, one point for each L, with the spread of the times; L stands beside its point.
 *
 * @param trained L in training, whose point is filled
 */
export function patchesChartSpec(
  points: readonly PatchesChartPoint[],
  { trained, batch }: { readonly trained: number; readonly batch: number },
): TopLevelSpec {
  const values = points.map(({ patchesPerExpert, accuracy, milliseconds }) => ({
    ...milliseconds,
    accuracy: 100 * accuracy,
    label: `${patchesPerExpert}${patchesPerExpert === trained ? ' (trained)' : ''}`,
    fill: patchesPerExpert === trained ? 1 : 0,
  }))
  const color = seriesColors[0]?.light ?? 'black'
  const y = { field: 'accuracy', type: 'quantitative', title: 'accuracy, %', scale: { zero: false } } as const
  const scale = { zero: false } as const
  const title = `milliseconds for a batch of ${batch}, median and spread`
  const x = { field: 'median', type: 'quantitative', title, scale } as const
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    width: 300,
    height: 230,
    background: 'transparent',
    padding: 4,
    title: { text: 'Patches that each expert keeps', anchor: 'start', frame: 'group' },
    data: { values },
    layer: [
      {
        mark: { type: 'rule', color, opacity: 0.35 },
        encoding: { x: { ...x, field: 'least' }, x2: { field: 'most' }, y },
      },
      {
        mark: { type: 'point', color, fill: color, size: 60 },
        encoding: { x, y, fillOpacity: { field: 'fill', type: 'quantitative', scale: null } },
      },
      {
        mark: { type: 'text', align: 'left', baseline: 'bottom', dx: 6, dy: -3, fontSize: 11 },
        encoding: { x, y, text: { field: 'label', type: 'nominal' } },
      },
    ],
    config: chartConfig,
  }
}
