import type { TopLevelSpec } from 'vega-lite'
import { boundFigureSpec } from '../../../src/report/study-bound.js'
import type { StudyTable } from '../../../src/report/study-page.js'
import { BOUND_NOTE } from '../../../src/theory/moe-bound.js'
import type { BoundExperiment } from '../../experiments/experiment.js'
import type { BoundAxis, BoundCorrelations, BoundPoint, BoundSummary } from './bound-summary.js'

/** What a study of the bound says of its claim, in sentences that its numbers decide. */
export function boundFindings({ axes, correlations }: BoundSummary): string[] {
  if (axes.length === 0) return ['No run has ended yet.']
  const points = [...new Set(axes.flatMap(axis => axis.points))]
  const vacuous = points.filter(({ bound }) => bound >= 1).length
  const below = points.filter(({ routerTerm }) => routerTerm < 1).length
  return [
    `The bound is vacuous, at least 1, in ${vacuous} of ${points.length} settings; its router term alone is below 1 in ${below}.`,
    ...axes.map(axisFinding),
    `Rank correlation with the gap over all settings: bound ${correlationText(correlations.bound)}, router term ${correlationText(correlations.routerTerm)}, expert term ${correlationText(correlations.expertTerm)}.`,
  ]
}

function axisFinding({ axis, letter, points, correlations }: BoundAxis): string {
  const [first, last] = [points[0], points.at(-1)] as [BoundPoint, BoundPoint]
  const gaps = `the gap goes from ${shareText(first.rampGap.mean)} at ${letter} = ${first[axis]} to ${shareText(last.rampGap.mean)} at ${letter} = ${last[axis]}`
  return `Along ${letter} ${gaps}; the router term's rank correlation with it is ${correlationText(correlations.routerTerm)}: ${verdict(correlations.routerTerm)}.`
}

function verdict(correlation: number | null): string {
  if (correlation === null) return 'undecided'
  return correlation > 0 ? 'they rise together' : 'they do not rise together'
}

/** The same in the few words of a row among other studies. */
export function boundBrief({ axes, correlations }: BoundSummary): string {
  if (axes.length === 0) return 'nothing yet'
  const along = axes.map(axis => `${axis.letter} ${correlationText(axis.correlations.routerTerm)}`).join(', ')
  return `rank correlation with the measured gap: bound ${correlationText(correlations.bound)}; router term along ${along}`
}

/** The tables of a study of the bound. */
export function boundTables({ axes, correlations }: BoundSummary): StudyTable[] {
  if (axes.length === 0) return []
  const seeds = [...new Set(axes.flatMap(axis => axis.points.map(({ rampGap }) => rampGap.count)))]
  return [
    ...axes.map(axisTable),
    {
      title: 'Rank correlation with the gap of the ramp loss',
      head: ['settings', 'bound', 'expert term', 'router term', 'masks counted'],
      rows: [
        ...axes.map(axis => [`along ${axis.letter}`, ...correlationCells(axis.correlations)]),
        ['all', ...correlationCells(correlations)],
      ],
      note: `Spearman's, of means over ${seeds.join(' or ')} seeds. Above 0: where the bound is larger, the gap is. Bounds: ${BOUND_NOTE}.`,
    },
  ]
}

function axisTable({ axis, letter, points }: BoundAxis): StudyTable {
  const { active, experts, samples } = points[0] as BoundPoint
  const others = { active: `k = ${active}`, experts: `T = ${experts}`, samples: `m = ${samples}` }
  const fixed = Object.entries(others).flatMap(([name, text]) => (name === axis ? [] : [text]))
  return {
    title: `Against ${letter}, with ${fixed.join(' and ')}`,
    head: [
      letter,
      'gap, ramp loss',
      'gap, 0-1 loss',
      'training error',
      'test error',
      'router term',
      'masks counted',
      'expert term',
      'sparsity',
    ],
    rows: points.map(point => [
      String(point[axis]),
      gapText(point.rampGap),
      gapText(point.zeroOneGap),
      shareText(point.trainError.mean),
      shareText(point.testError.mean),
      point.routerTerm.toFixed(3),
      point.exactRouterTerm.toFixed(3),
      point.expertTerm.toPrecision(3),
      point.sparsity.toFixed(4),
    ]),
    note: 'Gap: test minus training loss, mean ± standard deviation. Sparsity: sqrt(k (1 + ln(T/k)) / m). A term of 1 or more says nothing of a loss in [0, 1].',
  }
}

function correlationCells({ bound, expertTerm, routerTerm, exactRouterTerm }: BoundCorrelations): string[] {
  return [bound, expertTerm, routerTerm, exactRouterTerm].map(correlationText)
}

function correlationText(correlation: number | null): string {
  if (correlation === null) return 'not known'
  return `${correlation < 0 ? '−' : '+'}${Math.abs(correlation).toFixed(2)}`
}

function shareText(share: number): string {
  return share.toFixed(4).replace('-', '−')
}

function gapText({ mean, standardDeviation }: BoundPoint['rampGap']): string {
  const spread = standardDeviation === undefined ? '' : ` ± ${standardDeviation.toFixed(4)}`
  return shareText(mean) + spread
}

/** The figure of a study of the bound; undefined while there is nothing to draw. */
export function boundFigure(
  { title }: Pick<BoundExperiment, 'title'>,
  { axes, correlations }: BoundSummary,
): TopLevelSpec | undefined {
  if (axes.length === 0) return undefined
  return boundFigureSpec(
    axes.map(({ axis, letter, points }) => ({
      letter,
      points: points.map(point => ({
        value: point[axis],
        gap: point.rampGap.mean,
        routerTerm: point.routerTerm,
        expertTerm: point.expertTerm,
      })),
    })),
    { title, subtitle: `rank correlation of bound and gap: ${correlationText(correlations.bound)}` },
  )
}
