import type { Interval } from '../../src/statistics/bootstrap.js'
import type { PairedDifference } from '../../src/statistics/paired-difference.js'
import type { SamplesRatio } from '../../src/statistics/samples-needed.js'
import type { Figure } from '../experiments/experiment.js'
import type { Comparison, CostSummary, PointSummary, StudySummary } from './summary.js'
import { accuracyText, neededText, points, rangeText, signed } from './wording.js'

/**
 * What a study of training says of its claim, in sentences that its numbers decide.
 *
 * @param figure what the claim is about
 */
export function findingsOf(summary: StudySummary, figure: Figure): string[] {
  if (summary.points.length === 0) return ['No run has ended yet.']
  switch (figure.kind) {
    case 'curve':
      return summary.comparisons
        ? summary.comparisons.flatMap(comparison => [
            ...comparison.ratios.map(ratio => ratioFinding(comparison, ratio)),
            ...differenceFinding(comparison),
          ])
        : seriesFindings(summary, figure)
    case 'sweep':
      return sweepFindings(summary, figure)
    case 'phase':
      return phaseFindings(summary, figure)
    case 'bars':
      return barFindings(summary)
  }
}

function ratioFinding({ series, baseline }: Comparison, { ratio, model, interval }: SamplesRatio): string {
  const target = `${points(model.target)} %`
  if (Number.isNaN(ratio)) return `Neither ${series} nor ${baseline} reaches ${target} with the images tried.`
  if (ratio === Infinity) return `${series} never reaches ${target}, which ${baseline} does.`
  if (ratio === 0)
    return `${series} reaches ${target} with ${neededText(model)} images, ${baseline} never does.`
  const share = `${model.reached === 'at the fewest' ? 'at most ' : ''}${ratio.toFixed(2)}`
  const range = interval ? ` (95 % interval ${rangeText(interval)})` : ''
  return `${series} reaches ${target} with ${share} of the training images of ${baseline}${range}: ${ratioVerdict(interval)}.`
}

function ratioVerdict(interval: Interval | undefined): string {
  if (!interval) return 'with one seed nothing is decided'
  if (interval.upper < 1) return 'it needs fewer'
  return interval.lower > 1 ? 'it needs more' : 'whether it needs fewer is not decided'
}

function differenceFinding({ series, baseline, differences }: Comparison): string[] {
  const withInterval = differences.filter(({ interval }) => interval)
  if (withInterval.length === 0) return []
  const { ahead, behind } = decided(withInterval)
  const undecided = withInterval.length - ahead.length - behind.length
  const sided = (word: string, side: Differences) =>
    side.length > 0 && `${word} ${samplesText(side, withInterval)} (${pointsText(side)})`
  const parts = [
    sided('ahead', ahead),
    sided('behind', behind),
    undecided > 0 && `not decided at ${undecided} of ${withInterval.length} numbers of images`,
  ].filter(Boolean)
  return [`Paired by seed, ${series} against ${baseline}: ${parts.join('; ')}.`]
}

type Differences = Comparison['differences']

function samplesText(side: Differences, all: Differences): string {
  if (side.length === all.length && all.length > 1) return 'at every number of images'
  return `at N = ${side.map(({ samples }) => samples).join(', ')}`
}

/** The smallest and the largest mean difference, in points. */
function pointsText(side: Differences): string {
  const sizes = side.map(({ mean }) => Math.abs(mean)).sort((a, b) => a - b)
  const [least, most] = [points(sizes[0] as number), points(sizes.at(-1) as number)]
  return least === most ? `by ${least} points` : `by ${least} to ${most} points`
}

/** Paired differences whose 95 % interval does not hold zero, by their side. */
export interface Decided<Difference> {
  readonly ahead: readonly Difference[]
  readonly behind: readonly Difference[]
}

/** Sorts out which differences the seeds decide; single pairs have no interval and decide nothing. */
export function decided<Difference extends Pick<PairedDifference, 'interval'>>(
  differences: readonly Difference[],
): Decided<Difference> {
  return {
    ahead: differences.filter(({ interval }) => interval && interval.lower > 0),
    behind: differences.filter(({ interval }) => interval && interval.upper < 0),
  }
}

/** Sorts out the decided differences of several series; each carries the name of its series. */
export function decidedAmong<Difference extends Pick<PairedDifference, 'interval'>>(
  comparisons: readonly { readonly series: string; readonly differences: readonly Difference[] }[],
): Decided<Difference & { readonly series: string }> {
  return decided(
    comparisons.flatMap(({ series, differences }) =>
      differences.map(difference => ({ series, ...difference })),
    ),
  )
}

function seriesFindings(
  { needed = [], points: summaries }: StudySummary,
  figure: Figure & { kind: 'curve' },
) {
  return needed.map(need => {
    const last = atMostImages(summaries, need.series)
    const reached =
      need.reached === 'never'
        ? `never reaches ${points(figure.target)} %`
        : `reaches ${points(figure.target)} % with ${neededText(need)} images`
    return `${need.series} ${reached}; at N = ${last.samples} it is ${accuracyText(last)} %.`
  })
}

function atMostImages(summaries: readonly PointSummary[], series: string): PointSummary {
  return summaries.filter(point => point.series === series).reduce((a, b) => (b.samples > a.samples ? b : a))
}

/** What is swept over, as the paper's letter. */
export const sweptLetters = { patchesPerExpert: 'l', experts: 'k' } as const

function sweepFindings(
  { errorLaw, points: summaries }: StudySummary,
  figure: Figure & { kind: 'sweep' },
): string[] {
  const letter = sweptLetters[figure.over]
  const best = summaries.reduce((a, b) => (b.mean > a.mean ? b : a))
  const peak = `The accuracy is highest at ${letter} = ${best[figure.over]}: ${accuracyText(best)} %.`
  if (!errorLaw)
    return [peak, `The error has too few values from ${letter} = ${figure.from} on to fit a power.`]
  const { exponent, interval, rSquared } = errorLaw
  const predicted = figure.exponent.toFixed(3)
  const verdict = !interval
    ? 'with one seed nothing is decided'
    : interval.lower <= figure.exponent && figure.exponent <= interval.upper
      ? `in agreement with the predicted ${predicted}`
      : `not the predicted ${predicted}`
  const range = interval ? `, 95 % interval ${rangeText(interval)}` : ''
  return [
    peak,
    `From ${letter} = ${figure.from} on the error grows as ${letter} to the power ${exponent.toFixed(2)}${range} (R² ${rSquared.toFixed(2)}): ${verdict}.`,
  ]
}

function phaseFindings({ phases }: StudySummary, figure: Figure & { kind: 'phase' }): string[] {
  if (!phases) return []
  const reached = phases.xs.flatMap((x, i) => {
    const boundary = phases.boundary[i]
    return boundary === undefined ? [] : [`${boundary} at l = ${x}`]
  })
  const never = phases.xs.filter((_, i) => phases.boundary[i] === undefined)
  return [
    `A trial succeeds with a test accuracy of ${points(figure.target)} % or more.`,
    reached.length > 0
      ? `Half of the trials succeed from this many training images on: ${reached.join(', ')}.`
      : 'At no l do half of the trials succeed.',
    ...(never.length > 0 && reached.length > 0 ? [`Never at l = ${never.join(', ')}.`] : []),
  ]
}

function barFindings({ comparisons = [] }: StudySummary): string[] {
  const { ahead, behind } = decidedAmong(comparisons)
  const list = (side: typeof ahead) =>
    side.map(({ series, samples, mean }) => `${series} at N = ${samples} (${signed(mean)})`).join('; ') ||
    'none'
  return [
    `Better than the default beyond the 95 % interval: ${list(ahead)}.`,
    `Worse: ${list(behind)}. Of so many comparisons some cross the interval by chance.`,
  ]
}

/** What a study of cost says of its claim. */
export function costFindings(axes: readonly CostSummary[]): string[] {
  if (axes.length === 0) return ['No measurement has ended yet.']
  return axes.map(({ letter, timeLaw, multiplyAddsLaw, cnnLaw }) => {
    if (!timeLaw || !multiplyAddsLaw || !cnnLaw) return `${letter}: too few values to fit a power.`
    const { exponent, interval } = timeLaw
    const range = interval ? ` (95 % interval ${rangeText(interval)})` : ''
    return `Time grows as ${letter} to the power ${exponent.toFixed(2)}${range}, multiply-adds to the power ${multiplyAddsLaw.exponent.toFixed(2)}; the CNN's time to the power ${cnnLaw.exponent.toFixed(2)}.`
  })
}
