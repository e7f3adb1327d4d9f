import type { TopLevelSpec } from 'vega-lite'
import { chartConfig, seriesColors } from './charts.js'

/** The mean accuracy of what one criterion leaves. */
export interface PruningPoint {
  readonly series: string
  /** The panel that it belongs to: before or after the training that follows. */
  readonly panel: string
  /** Share of the experts removed, in [0, 1). */
  readonly removed: number
  /** A share in [0, 1]. */
  readonly accuracy: number
}

/** One legend for colours and dashes. */
const legend = {
  title: null,
  direction: 'horizontal',
  columns: 3,
  symbolType: 'stroke',
  symbolSize: 500,
  symbolStrokeWidth: 2.2,
} as const

/** Lines beyond the colours are told apart by their dashes. */
const dashes = [
  [1, 0],
  [6, 3],
  [2, 3],
] as const

/**
 * The vega-lite specification of accuracies against the share of experts removed: one panel beside the other, one line a
 * series.
 *
 * @throws RangeError for no points, or an accuracy out of range
 */
export function pruningFigureSpec(
  points: readonly PruningPoint[],
  { title, width = 520 }: { readonly title: string; readonly width?: number },
): TopLevelSpec {
  const where = 'pruningFigureSpec'
  if (points.length === 0) throw new RangeError(`${where}: points must hold at least 1 point, got 0`)
  const wrong = points.find(({ accuracy }) => !(accuracy >= 0 && accuracy <= 1))
  if (wrong) {
    throw new RangeError(`${where}: accuracies must be in [0, 1], got ${wrong.accuracy} (${wrong.series})`)
  }
  const names = [...new Set(points.map(({ series }) => series))]
  const panels = [...new Set(points.map(({ panel }) => panel))]
  const lowest = Math.floor(Math.min(...points.map(({ accuracy }) => accuracy)) * 10) / 10
  const gap = 16
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'transparent',
    padding: 4,
    title: { text: title, anchor: 'start' },
    data: { values: [...points] },
    facet: {
      column: {
        field: 'panel',
        type: 'nominal',
        sort: panels,
        title: null,
        header: { labelFontSize: 12, labelFont: chartConfig.font },
      },
    },
    spacing: gap,
    spec: {
      width: (width - gap * (panels.length - 1)) / panels.length,
      height: 260,
      mark: { type: 'line', strokeWidth: 1.8, point: { size: 22, filled: true } },
      encoding: encodingOf(names, lowest),
    },
    config: chartConfig,
  } as TopLevelSpec
}

/** Axes, and a colour with a dash for each series; accuracies from `lowest` on. */
function encodingOf(names: readonly string[], lowest: number) {
  const colors = seriesColors.length
  const series = { field: 'series', type: 'nominal', sort: names, legend } as const
  return {
    x: {
      field: 'removed',
      type: 'quantitative',
      title: 'share of experts removed',
      axis: { grid: false, format: '.0%', tickCount: 4 },
    },
    y: {
      field: 'accuracy',
      type: 'quantitative',
      title: 'test accuracy',
      scale: { domain: [lowest, 1], nice: false },
      axis: { format: '.0%', tickCount: 6 },
    },
    color: {
      ...series,
      scale: { domain: names, range: names.map((_, i) => seriesColors[i % colors]!.light) },
    },
    strokeDash: {
      ...series,
      scale: {
        domain: names,
        range: names.map((_, i) => [...dashes[Math.floor(i / colors) % dashes.length]!]),
      },
    },
  }
}
