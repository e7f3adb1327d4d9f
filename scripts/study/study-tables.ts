import type { StudyTable } from '../../src/report/study-page.js'
import type { ConvergenceTable, Figure, TrainingExperiment } from '../experiments/experiment.js'
import type { Comparison, CostSummary, ExpertsSummary, PointSummary, StudySummary } from './summary.js'
import { accuracyText, neededText, points, sharesText, signed, spreadText } from './wording.js'

/** The tables of what a study of training found. */
export function studyTables(
  summary: StudySummary,
  figure: Figure,
  { convergence, showsExperts = false }: Pick<TrainingExperiment, 'convergence' | 'showsExperts'> = {},
): StudyTable[] {
  if (summary.points.length === 0) return []
  return [
    ...(figure.kind === 'bars' ? [] : [accuracyTable(summary.points, titleOf(figure))]),
    ...(summary.worstGroups ? [accuracyTable(summary.worstGroups, measureTitles['worst-group'])] : []),
    ...(summary.needed ? [neededTable(summary, figure)] : []),
    ...(summary.comparisons && summary.comparisons.length > 0 ? [differenceTable(summary)] : []),
    ...(showsExperts && summary.experts ? [expertsTable(summary.points, summary.experts)] : []),
    effortTable(summary, convergence),
  ]
}

function titleOf(figure: Figure): string {
  return figure.kind === 'curve' ? measureTitles[figure.measure.of] : measureTitles.accuracy
}

function accuracyTable(summaries: readonly PointSummary[], title: string): StudyTable {
  const settings = [...new Map(summaries.map(point => [settingText(point), point])).keys()]
  const series = [...new Set(summaries.map(point => point.series))]
  const rows = settings.map(setting => [
    setting,
    ...series.map(name => {
      const point = summaries.find(other => other.series === name && settingText(other) === setting)
      return point ? accuracyText(point) : ''
    }),
  ])
  const seeds = [...new Set(summaries.map(({ count }) => count))].sort((a, b) => a - b)
  return {
    title,
    head: ['setting', ...series],
    rows,
    note:
      `Percent: mean ± standard deviation over ${seeds.length === 1 ? seeds[0] : `${seeds[0]} to ${seeds.at(-1)}`} seeds ` +
      '[95 % bootstrap interval of the mean].',
  }
}

const measureTitles = {
  accuracy: 'Test accuracy',
  'worst-group': 'Test accuracy of the worst group',
  'own-recall': 'True patch among the best of the router of its class',
  'largest-gate': "True patch is the best one of the class's best expert",
} as const

function settingText({ samples, patchesPerExpert, experts }: PointSummary): string {
  return [
    `N = ${samples}`,
    patchesPerExpert !== undefined && `l = ${patchesPerExpert}`,
    experts !== undefined && `k = ${experts}`,
  ]
    .filter(Boolean)
    .join(', ')
}

function neededTable({ needed = [], comparisons = [] }: StudySummary, figure: Figure): StudyTable {
  const target = figure.kind === 'curve' ? figure.target : 0
  const rows = needed.map(entry => [
    entry.series,
    `${points(target)} %`,
    neededText(entry),
    ratioText(comparisons, entry.series, 0),
  ])
  const others = comparisons.flatMap(({ series, ratios: [, second] }) =>
    second
      ? [
          [
            series,
            `${points(second.model.target)} %`,
            neededText(second.model),
            ratioText(comparisons, series, 1),
          ],
        ]
      : [],
  )
  return {
    title: 'Training images needed',
    head: ['', 'for', 'images', 'share of the baseline'],
    rows: [...rows, ...others],
    note:
      'Interpolated on the mean curve made non-decreasing [95 % bootstrap interval over seeds].' +
      (others.length > 0 ? ' The lower share is what the baseline reaches at its best.' : ''),
  }
}

function ratioText(comparisons: readonly Comparison[], series: string, index: number): string {
  const entry = comparisons.find(comparison => comparison.series === series)?.ratios[index]
  if (!entry) return ''
  if (Number.isNaN(entry.ratio)) return 'neither reaches it'
  if (entry.baseline.samples === Infinity) return 'the baseline never reaches it'
  if (entry.ratio === Infinity) return 'never reaches it'
  const bound = entry.model.reached === 'at the fewest' ? '≤ ' : ''
  const { interval } = entry
  const upper = interval?.upper === Infinity ? '∞' : interval?.upper.toFixed(2)
  return bound + entry.ratio.toFixed(2) + (interval ? ` [${interval.lower.toFixed(2)}, ${upper}]` : '')
}

function differenceTable({ comparisons = [] }: StudySummary): StudyTable {
  return {
    title: `Against ${comparisons[0]?.baseline}, seed by seed`,
    head: ['', 'N', 'difference', '95 % interval', 'ahead / behind', 'p (permutation)'],
    rows: comparisons.flatMap(({ series, differences }) =>
      differences.map(({ samples, mean, interval, ahead, behind, permutationTest }) => [
        series,
        String(samples),
        signed(mean),
        interval ? `${signed(interval.lower)} to ${signed(interval.upper)}` : '',
        `${ahead} / ${behind}`,
        permutationTest.toPrecision(2),
      ]),
    ),
    note: 'Points of percent. Each pair shares its seed: the training images and their order.',
  }
}

function expertsTable(accuracies: readonly PointSummary[], experts: readonly ExpertsSummary[]): StudyTable {
  return {
    title: 'What the experts do',
    head: [
      '',
      'N',
      'test accuracy',
      'patches in common',
      'answers differ by',
      'patches kept by none',
      'true patch kept',
      'dead / blank / identical',
    ],
    rows: experts.map(({ variant, samples, ...of }) => {
      const accuracy = accuracies.find(point => point.series === variant && point.samples === samples)
      return [
        variant,
        String(samples),
        accuracy ? accuracyText(accuracy) : '',
        sharesText(of.samePatches),
        sharesText(of.difference),
        sharesText(of.uncovered),
        of.trueKept ? sharesText(of.trueKept) : '',
        `${of.deadExperts} / ${of.blankExperts} / ${of.identicalExperts}`,
      ]
    }),
    note:
      'Percent, mean ± standard deviation over the seeds. Two experts have so many of their kept patches in common, on the mean over ' +
      'pairs, and what they add differs by this share of the larger. Dead experts add nothing, blank ones keep nothing but ' +
      'background, identical ones do what another does: their number in all seeds together.',
  }
}

function effortTable({ effort }: StudySummary, convergence: ConvergenceTable | undefined): StudyTable {
  const paper = (variant: string, samples: number) =>
    convergence?.[variant]?.find(point => point.samples === samples)?.seconds
  const rows = effort.map(({ variant, samples, converged, count, epochs, seconds, training, ...cost }) => [
    variant,
    String(samples),
    `${converged} of ${count}`,
    epochs ? spreadText(epochs) : '',
    seconds ? spreadText(seconds) : '',
    ...(convergence ? [paper(variant, samples)?.toString() ?? ''] : []),
    spreadText(training),
    cost.parameters.toLocaleString('en-US'),
    cost.multiplyAdds.toLocaleString('en-US'),
  ])
  return {
    title: convergence ? 'Time until convergence (Table 2)' : 'What training took',
    head: [
      '',
      'N',
      'converged',
      'epochs',
      'seconds',
      ...(convergence ? ["the paper's seconds"] : []),
      'whole training, s',
      'parameters',
      'multiply-adds a sample',
    ],
    rows,
    note: 'Converged: 99 % of the training images were right in an epoch; epochs and seconds until then, mean ± standard deviation over the seeds that came so far. Seconds compare only where runs shared the machine alike.',
  }
}

/** The orders of Table 1, for the axes that are measured. */
const orders = {
  l: { experts: 'l', routers: 'k n forward, k l² backward', cnn: 'none' },
  k: { experts: 'none', routers: 'k', cnn: 'none' },
  n: { experts: 'none', routers: 'n forward', cnn: 'n' },
} as const

/** The tables of what a study of cost found. */
export function costTables(axes: readonly CostSummary[]): StudyTable[] {
  const exponent = (law: CostSummary['timeLaw']) =>
    law
      ? law.exponent.toFixed(2) +
        (law.interval ? ` [${law.interval.lower.toFixed(2)}, ${law.interval.upper.toFixed(2)}]` : '')
      : ''
  return [
    {
      title: 'Exponents of the cost',
      head: [
        'as … grows',
        'time',
        'multiply-adds',
        'time of the CNN',
        'paper: experts',
        'paper: routers',
        'paper: CNN',
      ],
      rows: axes.map(({ letter, timeLaw, multiplyAddsLaw, cnnLaw }) => [
        letter,
        exponent(timeLaw),
        exponent(multiplyAddsLaw),
        exponent(cnnLaw),
        orders[letter].experts,
        orders[letter].routers,
        orders[letter].cnn,
      ]),
      note: 'Fitted on logarithmic scales [95 % bootstrap interval]. The time is of a forward and backward pass, as a ratio to the base measured in turn with it. Routers and experts add up, so that an exponent lies between those of its parts. The backward pass of the routers is computed in k l here, not in k l².',
    },
    {
      title: 'What was measured',
      head: ['', 'time, of the base', 'multiply-adds, of the base', 'CNN, of the base'],
      rows: axes.flatMap(({ letter, points: measured }) =>
        measured.map(({ value, ratio, multiplyAddsRatio, cnnRatio }) => [
          `${letter} = ${value}`,
          spreadText(ratio, 2),
          multiplyAddsRatio.toFixed(2),
          spreadText(cnnRatio, 2),
        ]),
      ),
    },
  ]
}
