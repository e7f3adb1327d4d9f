import type { TopLevelSpec } from 'vega-lite'
import { chartConfig, type PanelPlace, panelsOf, seriesColors } from './charts.js'

/** How far a mixture is from the dense layer in one setting. */
export interface TransferDifference {
  /** The panel that it belongs to. */
  readonly panel: string
  /** Percent of the image that the object fills, in (0, 100]. */
  readonly share: number
  /** Side of the map, at least 1. */
  readonly map: number
  /** Percent of the patches that are kept. */
  readonly kept: number
  /** Accuracy minus that of the dense layer, in [-1, 1]. */
  readonly difference: number
  readonly interval?: { readonly lower: number; readonly upper: number }
  /** Whether the interval leaves no doubt about the sign. */
  readonly isDecided: boolean
}

/**
 * The vega-lite specification of differences with their intervals, a row a setting: one panel below the other, one colour a size of
 * the map; rows that are not decided are pale.
 *
 * @throws RangeError for no differences, or one out of range
 */
export function transferFigureSpec(
  differences: readonly TransferDifference[],
  { title, width = 280 }: { readonly title: string; readonly width?: number },
): TopLevelSpec {
  const where = 'transferFigureSpec'
  if (differences.length === 0) throw new RangeError(`${where}: differences must hold at least 1, got 0`)
  const wrong = differences.find(({ difference }) => !(Math.abs(difference) <= 1))
  if (wrong) {
    throw new RangeError(
      `${where}: differences must be in [-1, 1], got ${wrong.difference} (${wrong.panel}, ${rowName(wrong)})`,
    )
  }
  const reach = Math.max(
    0.05,
    ...differences.flatMap(({ difference, interval }) =>
      [difference, interval?.lower ?? 0, interval?.upper ?? 0].map(Math.abs),
    ),
  )
  const maps = [...new Set(differences.map(({ map }) => map))].sort((a, b) => a - b)
  const look = { width, reach: Math.ceil(reach * 20) / 20, maps: maps.map(sizeText) }
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'transparent',
    padding: 4,
    title: {
      text: title,
      subtitle: [
        'accuracy of the mixture minus that of the dense layer,',
        'with its 95 % interval over the seeds',
      ],
      anchor: 'start',
      frame: 'group',
      dx: -nameExtent,
    },
    spacing: 18,
    vconcat: panelsOf(differences, (rows, place) => panel(rows, { ...look, ...place })),
    config: chartConfig,
  } as TopLevelSpec
}

function sizeText(map: number): string {
  return `${map}x${map}`
}

function rowName({ share, map, kept }: Pick<TransferDifference, 'share' | 'map' | 'kept'>): string {
  return `object ${share} %, map ${sizeText(map)}, keeps ${kept} %`
}

/** Room for the names of rows, in pixels, so that panels stand one below the other. */
const nameExtent = 210

interface PanelLook extends PanelPlace {
  readonly width: number
  /** Of the axis, to both sides. */
  readonly reach: number
  readonly maps: readonly string[]
}

function panel(differences: readonly TransferDifference[], { width, reach, maps, title, isLast }: PanelLook) {
  const values = differences.map(({ interval, isDecided, ...rest }) => ({
    name: rowName(rest),
    map: sizeText(rest.map),
    difference: rest.difference,
    ...(interval && { lower: interval.lower, upper: interval.upper }),
    strength: isDecided ? 1 : 0.4,
  }))
  const x = {
    type: 'quantitative',
    title: isLast ? 'points' : null,
    scale: { domain: [-reach, reach] },
    axis: {
      labels: isLast,
      labelFlush: false,
      labelExpr: "datum.value === 0 ? '0' : format(100 * datum.value, '+.0f')",
      tickCount: 5,
    },
  }
  const color = {
    field: 'map',
    type: 'nominal',
    scale: { domain: maps, range: maps.map((_, i) => seriesColors[i % seriesColors.length]!.light) },
    // Each row names its map.
    legend: null,
  }
  const opacity = { field: 'strength', type: 'quantitative', scale: null, legend: null }
  return {
    title: { text: title, fontSize: 12, anchor: 'start', frame: 'group', dx: -nameExtent },
    width,
    height: { step: 15 },
    data: { values },
    encoding: {
      y: {
        field: 'name',
        type: 'nominal',
        sort: values.map(({ name }) => name),
        title: null,
        axis: { labelLimit: 0, labelFontSize: 10, minExtent: nameExtent, maxExtent: nameExtent },
      },
    },
    layer: [
      {
        mark: { type: 'rule', color: '#8a949e', strokeWidth: 1 },
        encoding: { x: { ...x, datum: 0 }, y: null },
      },
      {
        transform: [{ filter: 'isValid(datum.lower)' }],
        mark: { type: 'rule', strokeWidth: 2 },
        encoding: { x: { ...x, field: 'lower' }, x2: { field: 'upper' }, color, opacity },
      },
      {
        mark: { type: 'point', filled: true, size: 44 },
        encoding: { x: { ...x, field: 'difference' }, color, opacity },
      },
    ],
  }
}
