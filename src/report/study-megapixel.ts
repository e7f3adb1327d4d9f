import type { TopLevelSpec } from 'vega-lite'
import { chartConfig, seriesColors } from './charts.js'

/** What networks reach on large images, by number of training images. */
export interface LargeImagesAccuracy {
  readonly series: string
  /** The panel that it belongs to. */
  readonly panel: string
  readonly images: number
  /** A share in [0, 1]. */
  readonly accuracy: number
  /** Standard deviation between the seeds. */
  readonly deviation?: number
}

/** What the figure of a study of large images shows. */
export interface MegapixelNumbers {
  /** At least one. */
  readonly accuracies: readonly LargeImagesAccuracy[]
  /** Recall, a share, when a share of the training is done. */
  readonly recalls: readonly {
    readonly series: string
    readonly panel: string
    readonly done: number
    readonly recall: number
  }[]
  /** A cost by the side of an image in pixels; above 0. */
  readonly costs: readonly {
    readonly series: string
    readonly panel: string
    readonly side: number
    readonly value: number
  }[]
}

/** Between panels that stand side by side, and between those that have an axis each. */
const gap = 18
const axisGap = 58

/**
 * The vega-lite specification of three rows of panels: accuracy against training images, recall against training, and cost against
 * the size of an image, on a logarithmic scale; one colour a network.
 *
 * @throws RangeError for no accuracies, or a share out of range
 */
export function megapixelFigureSpec(
  { accuracies, recalls, costs }: MegapixelNumbers,
  {
    title,
    recallImages,
    width = 480,
  }: { readonly title: string; readonly recallImages: number; readonly width?: number },
): TopLevelSpec {
  const where = 'megapixelFigureSpec'
  if (accuracies.length === 0) throw new RangeError(`${where}: accuracies must hold at least 1, got 0`)
  const wrong = accuracies.find(({ accuracy }) => !(accuracy >= 0 && accuracy <= 1))
  if (wrong) {
    throw new RangeError(`${where}: accuracies must be in [0, 1], got ${wrong.accuracy} (${wrong.series})`)
  }
  const names = [...new Set([...accuracies, ...costs].map(({ series }) => series))]
  const color = {
    field: 'series',
    type: 'nominal',
    scale: { domain: names, range: names.map((_, i) => seriesColors[i % seriesColors.length]!.light) },
    legend: {
      title: null,
      orient: 'bottom',
      direction: 'horizontal',
      columns: 3,
      symbolType: 'stroke',
      symbolSize: 300,
      symbolStrokeWidth: 2.4,
    },
  } as const
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'transparent',
    padding: 4,
    title: { text: title, anchor: 'start', frame: 'group' },
    spacing: 22,
    vconcat: [
      accuracyPanels(accuracies, { color, width }),
      ...(recalls.length > 0 ? [recallPanels(recalls, { color, width, recallImages })] : []),
      ...(costs.length > 0 ? [costPanels(costs, { color, width })] : []),
    ],
    config: chartConfig,
  } as TopLevelSpec
}

interface Look {
  readonly color: object
  readonly width: number
}

/** Panels side by side, one for each of the values' own. */
function panels(
  values: readonly { readonly panel: string }[],
  width: number,
  spec: object,
  spacing: number = gap,
) {
  const names = [...new Set(values.map(({ panel }) => panel))]
  return {
    data: { values: [...values] },
    facet: {
      column: {
        field: 'panel',
        type: 'nominal',
        sort: names,
        title: null,
        header: { labelFontSize: 12, labelFont: chartConfig.font },
      },
    },
    spacing,
    spec: { width: (width - spacing * (names.length - 1)) / names.length, height: 190, ...spec },
  }
}

function accuracyPanels(accuracies: MegapixelNumbers['accuracies'], { color, width }: Look) {
  const x = {
    field: 'images',
    type: 'ordinal',
    title: 'training images',
    axis: { labelAngle: 0, grid: false },
  }
  const y = {
    type: 'quantitative',
    title: 'test accuracy',
    scale: { domain: [0, 1] },
    axis: { format: '.0%', tickCount: 5 },
  }
  const values = accuracies.map(({ deviation, ...point }) => ({
    ...point,
    ...(deviation !== undefined && {
      lower: Math.max(0, point.accuracy - deviation),
      upper: Math.min(1, point.accuracy + deviation),
    }),
  }))
  return panels(values, width, {
    encoding: { x, color },
    layer: [
      {
        transform: [{ filter: 'isValid(datum.lower)' }],
        mark: { type: 'rule', strokeWidth: 1.2, opacity: 0.7 },
        encoding: { y: { ...y, field: 'lower' }, y2: { field: 'upper' } },
      },
      {
        mark: { type: 'line', strokeWidth: 1.8, point: { size: 34, filled: true } },
        encoding: { y: { ...y, field: 'accuracy' } },
      },
    ],
  })
}

function recallPanels(
  recalls: MegapixelNumbers['recalls'],
  { color, width, recallImages }: Look & { readonly recallImages: number },
) {
  return panels(recalls, width, {
    mark: { type: 'line', strokeWidth: 1.8 },
    encoding: {
      x: {
        field: 'done',
        type: 'quantitative',
        title: `training done, ${recallImages} images`,
        scale: { domain: [0, 1] },
        axis: { format: '.0%', tickCount: 4, grid: false },
      },
      y: {
        field: 'recall',
        type: 'quantitative',
        title: 'recall',
        scale: { domain: [0, 1] },
        axis: { format: '.0%', tickCount: 5 },
      },
      color,
    },
  })
}

function costPanels(costs: MegapixelNumbers['costs'], { color, width }: Look) {
  const powers = Array.from({ length: 13 }, (_, i) => 10 ** (i - 3))
  const spec = {
    mark: { type: 'line', strokeWidth: 1.8, point: { size: 34, filled: true } },
    encoding: {
      x: {
        field: 'side',
        type: 'ordinal',
        title: 'side of the image, pixels',
        axis: { labelAngle: 0, grid: false },
      },
      y: {
        field: 'value',
        type: 'quantitative',
        title: null,
        scale: { type: 'log' },
        axis: { format: '~g', values: powers },
      },
      color,
    },
  }
  return { ...panels(costs, width, spec, axisGap), resolve: { scale: { y: 'independent' } } }
}
