import type { TopLevelSpec } from 'vega-lite'
import { differenceFigureSpec } from '../../src/report/study-bars.js'
import { costFigureSpec } from '../../src/report/study-cost.js'
import { accuracyFigureSpec, phaseMapSpec } from '../../src/report/study-figures.js'
import type { Figure, TrainingExperiment, Variant } from '../experiments/experiment.js'
import type { CostSummary, PointSummary, StudySummary } from './summary.js'

const yTitles = {
  accuracy: 'test accuracy',
  'worst-group': 'accuracy of the worst group',
  'own-recall': 'true patch among the best of its router',
  'largest-gate': 'true patch with the largest gate',
} as const

/** The figure of a study of training; undefined while there is nothing to draw. */
export function studyFigure(
  { title }: Pick<TrainingExperiment, 'title'>,
  figure: Figure,
  summary: StudySummary,
  variants: readonly Variant[],
): TopLevelSpec | undefined {
  if (summary.points.length === 0) return undefined
  switch (figure.kind) {
    case 'curve':
      return accuracyFigureSpec(curves(summary.points, variants, figure), {
        title,
        y: yTitles[figure.measure.of],
      })
    case 'sweep':
      return accuracyFigureSpec(sweepCurves(summary.points, figure), {
        title,
        x: figure.over === 'experts' ? 'experts (k)' : 'patches kept by each expert (l)',
      })
    case 'phase':
      return phaseMapSpec(summary.phases?.cells ?? [], {
        title,
        x: 'patches kept by each expert (l)',
        y: 'training images',
      })
    case 'bars':
      return barFigure(title, summary)
  }
}

function curves(
  summaries: readonly PointSummary[],
  variants: readonly Variant[],
  figure: Figure & { kind: 'curve' },
) {
  const names = [...new Set(summaries.map(({ series }) => series))]
  return names.map(name => {
    const published = figure.published?.[name] ?? variants.find(variant => variant.name === name)?.published
    return {
      name,
      points: summaries.filter(({ series }) => series === name).map(pointOf(({ samples }) => samples)),
      ...(published && { published }),
    }
  })
}

function sweepCurves(summaries: readonly PointSummary[], { over }: Figure & { kind: 'sweep' }) {
  const lines = new Map<string, PointSummary[]>()
  for (const point of summaries) {
    const name = `${point.series}, N = ${point.samples}`
    lines.set(name, [...(lines.get(name) ?? []), point])
  }
  return [...lines].map(([name, line]) => ({ name, points: line.map(pointOf(point => point[over] ?? 0)) }))
}

function pointOf(x: (point: PointSummary) => number) {
  return (point: PointSummary) => ({
    samples: x(point),
    mean: point.mean,
    ...(point.interval && { interval: point.interval }),
  })
}

function barFigure(title: string, { comparisons = [] }: StudySummary): TopLevelSpec | undefined {
  const bars = comparisons.flatMap(({ series, differences }) =>
    differences.map(({ samples, mean, interval }) => ({
      name: series,
      group: `N = ${samples}`,
      mean,
      ...(interval && { interval }),
    })),
  )
  const x = `test accuracy less that ${ofBaseline(comparisons[0]?.baseline ?? '')}, points of percent`
  return bars.length === 0 ? undefined : differenceFigureSpec(bars, { title, x })
}

/** The first variant as the axis of differences names it: `of the default`, `with no term`. */
function ofBaseline(name: string): string {
  return name.startsWith('no ') ? `with ${name}` : `of the ${name}`
}

/** The figure of a study of cost; undefined while there is nothing to draw. */
export function costFigure(title: string, axes: readonly CostSummary[]): TopLevelSpec | undefined {
  if (axes.length === 0) return undefined
  const curve = (name: string, ratio: (point: CostSummary['points'][number]) => number, dashed = false) =>
    axes.map(({ letter, points }) => ({
      name,
      axis: letter,
      dashed,
      points: points.map(point => ({ value: point.value, ratio: ratio(point) })),
    }))
  return costFigureSpec(
    [
      ...curve('pMoE, time', ({ ratio }) => ratio.mean),
      ...curve('CNN, time', ({ cnnRatio }) => cnnRatio.mean),
      ...curve('pMoE, multiply-adds', ({ multiplyAddsRatio }) => multiplyAddsRatio, true),
    ],
    { title, y: 'over that of the base' },
  )
}
