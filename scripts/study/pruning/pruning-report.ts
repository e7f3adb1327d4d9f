import type { TopLevelSpec } from 'vega-lite'
import type { StudyTable } from '../../../src/report/study-page.js'
import { pruningFigureSpec } from '../../../src/report/study-pruning.js'
import type { SeedSummary } from '../../../src/statistics/summary.js'
import { accuracyText, points, sharesText, signed, spreadText } from '../wording.js'
import type { CriterionPair, PruningSummary } from './pruning-summary.js'

type Photographs = NonNullable<PruningSummary['photographs']>
type Patterns = NonNullable<PruningSummary['patterns']>

/** What a study of pruning says of its claim, in sentences that its numbers decide. */
export function pruningFindings({ patterns, photographs, fromStart }: PruningSummary): string[] {
  const sentences = [
    ...(patterns ? patternFindings(patterns) : []),
    ...(photographs ? photographFindings(photographs, fromStart) : []),
  ]
  return sentences.length > 0 ? sentences : ['No run has ended yet.']
}

/** Most points of accuracy that pruning down to the relevant experts may take. */
const mostLost = 1

function patternFindings({ criteria, relevant }: Patterns): string[] {
  const norm = criteria.find(({ criterion }) => criterion === 'router-norm')
  if (!norm) return []
  const { areaUnderCurve, changeAtTruth } = norm
  const lost = -100 * changeAtTruth.mean
  const area = areaUnderCurve ? `an area under the curve of ${spreadText(areaUnderCurve, 2)}` : 'nothing'
  return [
    `Where the truth is known, ${spreadText(relevant)} of ${norm.accuracies.length} experts are relevant; router-norm tells them from the others with ${area}.`,
    `Pruned down to as many experts as are relevant it ${lost > 0 ? `loses ${lost.toFixed(1)}` : `gains ${(-lost).toFixed(1)}`} points: ${lost <= mostLost ? 'within' : 'NOT within'} the ${mostLost} point expected.`,
  ]
}

function photographFindings(
  { overall, disagreement, difference, cuts }: Photographs,
  fromStart: PruningSummary['fromStart'],
): string[] {
  const best = (stage: 'before' | 'after') =>
    overall.reduce((a, b) => (b[stage].mean > a[stage].mean ? b : a))
  const sentence = (stage: 'before' | 'after', when: string) => {
    const winner = best(stage)
    const norm = overall.find(({ criterion }) => criterion === 'router-norm')
    const random = overall.find(({ criterion }) => criterion === 'random')
    const others = [
      norm && `router-norm ${points(norm[stage].mean)}`,
      random && `random ${points(random[stage].mean)}`,
    ]
    return `${when} training on, ${winner.criterion} is best on the mean of all numbers of experts: ${points(winner[stage].mean)} % (${others.filter(Boolean).join(', ')}).`
  }
  const disagreeing = disagreement.filter(({ share }) => share > 0)
  const started = fromStart.flatMap(({ keep, accuracy }) => {
    const ofKeep = cuts.filter(cut => cut.keep === keep)
    if (ofKeep.length === 0) return []
    const top = ofKeep.reduce((a, b) => (b.after.mean > a.after.mean ? b : a))
    return [`${keep}: ${points(accuracy.mean)} against ${points(top.after.mean)} (${top.criterion})`]
  })
  return [
    sentence('before', 'Before'),
    sentence('after', 'After'),
    `Criteria disagree: of their pairs ${disagreeing.map(({ keep, share }) => `${points(share)} % keep different experts at ${keep}`).join(', ') || 'none'}.`,
    `A pruned network differs from the unpruned one with the same channels masked by at most ${difference.toPrecision(2)}.`,
    ...(started.length > 0
      ? [
          `Networks that had so many experts from the start, against the best pruned ones after training on, in percent: ${started.join('; ')}.`,
        ]
      : []),
  ]
}

/** The same in the few words of a row among other studies. */
export function pruningBrief({ patterns, photographs }: PruningSummary): string {
  const norm = patterns?.criteria.find(({ criterion }) => criterion === 'router-norm')
  const parts = [
    norm?.areaUnderCurve &&
      `router-norm finds the relevant experts with an AUC of ${norm.areaUnderCurve.mean.toFixed(2)}`,
    photographs && overallBrief(photographs, 'before'),
    photographs && overallBrief(photographs, 'after'),
  ].filter(Boolean)
  return parts.length > 0 ? parts.join('; ') : 'nothing yet'
}

function overallBrief({ overall }: Photographs, stage: 'before' | 'after'): string {
  const winner = overall.reduce((a, b) => (b[stage].mean > a[stage].mean ? b : a))
  const of = (name: string) => overall.find(({ criterion }) => criterion === name)
  const number = (entry: (typeof overall)[number] | undefined) => (entry ? points(entry[stage].mean) : '–')
  return `${stage} training on: best ${winner.criterion} ${number(winner)} %, router-norm ${number(of('router-norm'))} %, random ${number(of('random'))} %`
}

/** The tables of a study of pruning. */
export function pruningTables(summary: PruningSummary): StudyTable[] {
  const { patterns, photographs } = summary
  return [
    ...(photographs
      ? [
          cutTable(photographs, summary.fromStart, 'before'),
          cutTable(photographs, summary.fromStart, 'after'),
          pairTable(photographs),
          sizeTable(photographs, summary.latencies),
        ]
      : []),
    ...(patterns ? [patternTable(patterns)] : []),
  ]
}

function cutTable(
  { cuts, accuracy }: Photographs,
  fromStart: PruningSummary['fromStart'],
  stage: 'before' | 'after',
): StudyTable {
  const keeps = [...new Set(cuts.map(({ keep }) => keep))].sort((a, b) => b - a)
  const criteria = [...new Set(cuts.map(({ criterion }) => criterion))]
  const text = (point: SeedSummary | undefined) => (point ? sharesText(point) : '')
  const started = keeps.map(keep => text(fromStart.find(entry => entry.keep === keep)?.accuracy))
  return {
    title: `Wide network, test accuracy ${stage} training on`,
    head: ['experts left', ...keeps.map(String)],
    rows: [
      ...criteria.map(criterion => [
        criterion,
        ...keeps.map(keep =>
          text(cuts.find(cut => cut.criterion === criterion && cut.keep === keep)?.[stage]),
        ),
      ]),
      ...(stage === 'after' && fromStart.length > 0 ? [['so many from the start', ...started]] : []),
    ],
    note:
      `Percent: mean ± standard deviation over ${accuracy.count} seeds; random: of each seed the mean of its draws. ` +
      `Unpruned and without training on: ${accuracyText(accuracy)}.`,
  }
}

function pairTable({ pairs }: Photographs): StudyTable {
  const text = ({ difference: { mean, ahead, behind, permutationTest } }: CriterionPair) =>
    `${signed(mean)} (${ahead} / ${behind}, p ${permutationTest.toPrecision(2)})`
  const criteria = [...new Set(pairs.map(({ criterion }) => criterion))]
  const columns = (['before', 'after'] as const).flatMap(stage =>
    ['random', 'router-norm'].map(baseline => ({ stage, baseline })),
  )
  const count = pairs[0]?.difference.count ?? 0
  return {
    title: 'Wide network, against random and against router-norm, seed by seed',
    head: ['', ...columns.map(({ stage, baseline }) => `${stage}, against ${baseline}`)],
    rows: criteria.map(criterion => [
      criterion,
      ...columns.map(({ stage, baseline }) => {
        const pair = pairs.find(
          other => other.criterion === criterion && other.stage === stage && other.baseline === baseline,
        )
        return pair ? text(pair) : ''
      }),
    ]),
    note: `Points of percent, mean over all numbers of experts below K; in brackets the seeds ahead and behind, and the p-value of the sign-flip test, which with ${count} seeds is never below ${(2 ** (1 - count)).toPrecision(2)}.`,
  }
}

function sizeTable({ sizes }: Photographs, latencies: PruningSummary['latencies']): StudyTable {
  const batches = [...new Set(latencies.map(({ batch }) => batch))]
  return {
    title: 'Wide network, what is saved',
    head: [
      'experts left',
      'parameters',
      'multiply-adds an image',
      ...batches.map(batch => `ms, batch ${batch}`),
    ],
    rows: [...sizes]
      .sort((a, b) => b.keep - a.keep)
      .map(({ keep, parameters, multiplyAdds }) => [
        String(keep),
        parameters.toLocaleString('en-US'),
        multiplyAdds.toLocaleString('en-US'),
        ...batches.map(batch => {
          const entry = latencies.find(other => other.keep === keep && other.batch === batch)
          return entry ? spreadText(entry.milliseconds, 2) : ''
        }),
      ]),
    note: 'Latency: median of the passes of a cell, mean ± standard deviation over the seeds; numbers of experts took turns.',
  }
}

function patternTable({ criteria, pretrainedAccuracy, accuracy, relevant }: Patterns): StudyTable {
  return {
    title: 'Two-layer mixture of a known truth',
    head: [
      '',
      'AUC',
      'truth kept, %',
      'accuracy at the truth, points',
      'half of the experts, %',
      'one expert, %',
    ],
    rows: criteria.map(({ criterion, areaUnderCurve, overlap, changeAtTruth, accuracies }) => [
      criterion,
      areaUnderCurve ? spreadText(areaUnderCurve, 2) : '',
      overlap ? sharesText(overlap) : '',
      signed(changeAtTruth.mean),
      points(accuracies[Math.floor(accuracies.length / 2)]!),
      points(accuracies.at(-1)!),
    ]),
    note:
      `Relevant are the experts whose router scores a pattern of the new task highest: ${spreadText(relevant)} of ${criteria[0]?.accuracies.length}. ` +
      `AUC: how well scores tell them from the others. At the truth: as many experts left as are relevant, less the unpruned network. ` +
      `Accuracy on the first task ${sharesText(pretrainedAccuracy)} %, on the new one unpruned ${sharesText(accuracy)} %.`,
  }
}

/** The figure of a study of pruning; undefined while there is nothing to draw. */
export function pruningFigure(
  title: string,
  { photographs, fromStart }: PruningSummary,
): TopLevelSpec | undefined {
  if (!photographs) return undefined
  const { cuts } = photographs
  const most = Math.max(...cuts.map(({ keep }) => keep))
  const panels = { before: 'before training on', after: 'after training on' } as const
  const drawn = (['before', 'after'] as const).flatMap(stage =>
    cuts.map(cut => ({
      series: cut.criterion,
      panel: panels[stage],
      removed: 1 - cut.keep / most,
      accuracy: cut[stage].mean,
    })),
  )
  const started = fromStart.map(({ keep, accuracy }) => ({
    series: 'so many from the start',
    panel: panels.after,
    removed: 1 - keep / most,
    accuracy: accuracy.mean,
  }))
  return pruningFigureSpec([...drawn, ...started], { title })
}
