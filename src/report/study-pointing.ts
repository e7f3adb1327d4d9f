import type { TopLevelSpec } from 'vega-lite'
import { chartConfig, type PanelPlace, panelsOf, seriesColors } from './charts.js'

/** How often a method points at what decides the class; shares in [0, 1]. */
export interface PointingBar {
  /** The panel that it belongs to. */
  readonly panel: string
  readonly method: string
  /** The point lies in a box or close to it. */
  readonly near: number
  /** It lies in a box; at most `near`. */
  readonly inside: number
  /** Standard deviation of `near` between the seeds. */
  readonly deviation?: number
}

/**
 * The vega-lite specification of a pointing game: one panel below the other, a bar a method, darker as far as points lie inside.
 *
 * @throws RangeError for no bars, or a share out of range
 */
export function pointingFigureSpec(
  bars: readonly PointingBar[],
  { title, width = 300 }: { readonly title: string; readonly width?: number },
): TopLevelSpec {
  const where = 'pointingFigureSpec'
  if (bars.length === 0) throw new RangeError(`${where}: bars must hold at least 1, got 0`)
  const wrong = bars.find(({ near, inside }) => !(inside >= 0 && inside <= near && near <= 1))
  if (wrong) {
    throw new RangeError(
      `${where}: shares must be in [0, 1], and inside at most near, got ${wrong.inside} and ${wrong.near} (${wrong.method})`,
    )
  }
  const fill = (seriesColors[0] as { light: string }).light
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'transparent',
    padding: 4,
    title: {
      text: title,
      subtitle: [
        'dark: the point lies on a thing that decides the class,',
        'pale: at most half a cell beside it',
      ],
      anchor: 'start',
      frame: 'group',
    },
    spacing: 18,
    vconcat: panelsOf(bars, (rows, place) => panel(rows, { width, fill, ...place })),
    config: chartConfig,
  } as TopLevelSpec
}

function panel(
  bars: readonly PointingBar[],
  { title, width, fill, isLast }: PanelPlace & { readonly width: number; readonly fill: string },
) {
  const y = {
    field: 'method',
    type: 'nominal',
    sort: bars.map(({ method }) => method),
    title: null,
    axis: { labelLimit: 0 },
  }
  const x = {
    type: 'quantitative',
    title: isLast ? 'share of the images' : null,
    scale: { domain: [0, 1] },
    axis: { format: '.0%', tickCount: 5 },
  }
  const values = bars.map(({ deviation, ...bar }) => ({
    ...bar,
    ...(deviation !== undefined && {
      lower: Math.max(0, bar.near - deviation),
      upper: Math.min(1, bar.near + deviation),
    }),
  }))
  return {
    title: { text: title, fontSize: 12, anchor: 'start' },
    width,
    height: { step: 22 },
    data: { values },
    encoding: { y },
    layer: [
      { mark: { type: 'bar', color: fill, opacity: 0.4 }, encoding: { x: { ...x, field: 'near' } } },
      { mark: { type: 'bar', color: fill }, encoding: { x: { ...x, field: 'inside' } } },
      {
        transform: [{ filter: 'isValid(datum.lower)' }],
        mark: { type: 'rule', strokeWidth: 1.4, color: '#1d2329' },
        encoding: { x: { ...x, field: 'lower' }, x2: { field: 'upper' } },
      },
    ],
  }
}
