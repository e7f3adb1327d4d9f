import type { TopLevelSpec } from 'vega-lite'
import { chartConfig, seriesColors } from './charts.js'

/** The mean accuracy of a network in one setting. */
export interface ClustersBar {
  readonly series: string
  readonly setting: string
  /** A share in [0, 1]. */
  readonly accuracy: number
  /** Standard deviation between the seeds. */
  readonly deviation?: number
  /** The published mean, a share. */
  readonly published?: number
}

/** The mean dispatch entropy of a mixture after a step of training. */
export interface EntropyPoint {
  readonly series: string
  readonly setting: string
  readonly step: number
  /** Nats. */
  readonly entropy: number
}

/** What the figure shows. */
export interface ClustersFigure {
  readonly bars: readonly ClustersBar[]
  readonly entropies: readonly EntropyPoint[]
  /** The entropy of a routing that does not tell the clusters apart, in nats. */
  readonly blindEntropy: number
}

/** The accuracy that guessing gives, from which bars begin. */
const guessing = 0.5

/**
 * The vega-lite specification of accuracies as bars, setting by setting, over the entropies against the steps of
 * training. Bars begin at guessing between two classes; diamonds are published numbers.
 *
 * @throws RangeError for no bars, or an accuracy out of range
 */
export function clustersFigureSpec(
  { bars, entropies, blindEntropy }: ClustersFigure,
  { title, width = 460 }: { readonly title: string; readonly width?: number },
): TopLevelSpec {
  const where = 'clustersFigureSpec'
  if (bars.length === 0) throw new RangeError(`${where}: bars must hold at least 1 bar, got 0`)
  const wrong = bars.find(({ accuracy }) => !(accuracy >= 0 && accuracy <= 1))
  if (wrong) {
    throw new RangeError(`${where}: accuracies must be in [0, 1], got ${wrong.accuracy} (${wrong.series})`)
  }
  const names = [...new Set(bars.map(({ series }) => series))]
  const settings = [...new Set(bars.map(({ setting }) => setting))].sort()
  const color = {
    field: 'series',
    type: 'nominal',
    sort: names,
    scale: { domain: names, range: names.map((_, i) => seriesColors[i % seriesColors.length]!.light) },
    legend: { title: null, direction: 'horizontal', columns: 2, symbolSize: 120, symbolStrokeWidth: 0 },
  } as const
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'transparent',
    padding: 4,
    title: {
      text: title,
      // In two lines: widths of texts are overestimated, and would widen the figure.
      subtitle: ['bars from 50 % (guessing), lines: one standard', 'deviation, diamonds: published'],
      anchor: 'start',
      frame: 'group',
    },
    spacing: 8,
    vconcat: [
      accuracyPanel(bars, { names, settings, color, width }),
      ...(entropies.length > 0 ? [entropyPanel(entropies, { settings, color, width, blindEntropy })] : []),
    ],
    config: chartConfig,
  } as TopLevelSpec
}

interface Panel {
  readonly settings: readonly string[]
  readonly color: object
  readonly width: number
}

function accuracyPanel(
  bars: readonly ClustersBar[],
  { names, settings, color, width }: Panel & { readonly names: readonly string[] },
) {
  const values = bars.map(({ series, setting, accuracy, deviation, published }) => ({
    series,
    setting,
    from: guessing,
    accuracy: Math.max(guessing, accuracy),
    ...(deviation !== undefined && {
      lower: Math.max(guessing, accuracy - deviation),
      upper: Math.min(1, accuracy + deviation),
    }),
    ...(published !== undefined && { published }),
  }))
  const x = { field: 'setting', type: 'nominal', sort: settings, title: null, axis: { labelAngle: 0 } }
  const xOffset = { field: 'series', type: 'nominal', sort: names }
  const y = {
    type: 'quantitative',
    title: 'test accuracy',
    scale: { domain: [guessing, 1], nice: false },
    axis: { format: '.0%', tickCount: 5 },
  }
  return {
    width,
    height: 210,
    data: { values },
    encoding: { x, xOffset },
    layer: [
      { mark: { type: 'bar' }, encoding: { y: { ...y, field: 'from' }, y2: { field: 'accuracy' }, color } },
      {
        transform: [{ filter: 'isValid(datum.lower)' }],
        mark: { type: 'rule', strokeWidth: 1.4, color: '#1d2329' },
        encoding: { y: { ...y, field: 'lower' }, y2: { field: 'upper' } },
      },
      {
        transform: [{ filter: 'isValid(datum.published)' }],
        mark: {
          type: 'point',
          shape: 'diamond',
          size: 34,
          filled: true,
          opacity: 1,
          fill: '#ffffff',
          stroke: '#1d2329',
          strokeWidth: 1.1,
        },
        encoding: { y: { ...y, field: 'published' } },
      },
    ],
  }
}

function entropyPanel(
  entropies: readonly EntropyPoint[],
  { settings, color, width, blindEntropy }: Panel & { readonly blindEntropy: number },
) {
  const shown = settings.filter(setting => entropies.some(point => point.setting === setting))
  const gap = 14
  return {
    data: { values: entropies },
    facet: {
      column: {
        field: 'setting',
        type: 'nominal',
        sort: shown,
        title: null,
        header: { labelFontSize: 11, labelFont: chartConfig.font },
      },
    },
    spacing: gap,
    spec: {
      width: (width - gap * (shown.length - 1)) / shown.length,
      height: 130,
      layer: [
        {
          mark: { type: 'rule', color: '#8a949e', strokeDash: [3, 3] },
          encoding: { y: { datum: blindEntropy } },
        },
        {
          mark: { type: 'line', strokeWidth: 2 },
          encoding: {
            x: {
              field: 'step',
              type: 'quantitative',
              title: 'step',
              scale: { nice: false },
              axis: { grid: false, tickCount: 3, format: 'd' },
            },
            y: {
              field: 'entropy',
              type: 'quantitative',
              title: 'entropy of the routing, nats',
              scale: { domain: [0, Math.ceil(blindEntropy * 10) / 10], nice: false },
              axis: { tickCount: 4, format: '~g' },
            },
            color,
          },
        },
      ],
    },
  }
}
