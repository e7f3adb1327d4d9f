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
 * Accuracy and the time of a batch, one above the other, for each L, with the spread of the times.
 *
 * @param trained L in training, whose points are filled, and named above
 */
export function patchesChartSpec(
  points: readonly PatchesChartPoint[],
  { trained, batch }: { readonly trained: number; readonly batch: number },
): TopLevelSpec {
  const values = points.map(({ patchesPerExpert, accuracy, milliseconds }) => ({
    ...milliseconds,
    patches: patchesPerExpert,
    accuracy: 100 * accuracy,
    trained: patchesPerExpert === trained ? 'trained' : '',
  }))
  const x = {
    field: 'patches',
    type: 'ordinal',
    title: 'patches that each expert keeps',
    axis: { labelAngle: 0, grid: false },
  } as const
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'white',
    padding: 8,
    title: {
      text: 'What fewer patches cost and save',
      subtitle: `time of a batch of ${batch}: median, least to most`,
      anchor: 'start',
    },
    data: { values },
    spacing: 12,
    vconcat: [
      panel(x, { field: 'accuracy', title: 'accuracy, %', range: accuracyRange(points) }, [
        {
          mark: { type: 'text', align: 'center', baseline: 'bottom', dy: -8, fontSize: 11, fontWeight: 600 },
          encoding: { x, y: { field: 'accuracy', type: 'quantitative' }, text: { field: 'trained' } },
        },
      ]),
      panel(x, { field: 'median', title: 'milliseconds' }, [
        {
          mark: { type: 'rule', color: COLOR, opacity: 0.5 },
          encoding: { x, y: { field: 'least', type: 'quantitative' }, y2: { field: 'most' } },
        },
      ]),
    ],
    config: chartConfig,
  }
}

const COLOR = seriesColors[0]?.light ?? 'black'

type Layer = Extract<TopLevelSpec, { layer: unknown }>['layer'][number]

/** One quantity over L: points joined by a line, that of training filled. */
function panel(
  x: Record<string, unknown>,
  { field, title, range }: { field: string; title: string; range?: readonly [number, number] },
  over: readonly object[],
) {
  const scale = range ? { domain: [...range], nice: false } : { zero: true }
  const y = { field, type: 'quantitative', title, scale, axis: { tickCount: 5 } }
  const isTrained = { condition: { test: "datum.trained !== ''", value: 1 }, value: 0 }
  return {
    width: 290,
    height: 130,
    layer: [
      { mark: { type: 'line', color: COLOR, opacity: 0.5 }, encoding: { x, y } },
      {
        mark: { type: 'point', color: COLOR, fill: COLOR, size: 60 },
        encoding: { x, y, fillOpacity: isTrained },
      },
      ...over,
    ] as Layer[],
  }
}

/** Percents with room above and below, of which there are at least two. */
function accuracyRange(points: readonly PatchesChartPoint[]): readonly [number, number] {
  const accuracies = points.map(({ accuracy }) => 100 * accuracy)
  const [least, most] = [Math.min(...accuracies), Math.max(...accuracies)]
  const room = Math.max(1, (most - least) * 0.2)
  return [Math.max(0, Math.floor(least - room)), Math.min(100, Math.ceil(most + room))]
}
