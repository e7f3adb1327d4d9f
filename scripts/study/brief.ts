import type { Figure } from '../experiments/experiment.js'
import { decided, decidedAmong, sweptLetters } from './findings.js'
import type { Comparison, CostSummary, StudySummary } from './summary.js'
import { points, rangeText, signed } from './wording.js'

/**
 * What a study of training found, in the few words of a row among other studies. The whole of it is in `findingsOf`.
 *
 * @param figure what the claim is about
 */
export function briefOf(summary: StudySummary, figure: Figure): string {
  if (summary.points.length === 0) return 'nothing yet'
  switch (figure.kind) {
    case 'curve':
      return summary.comparisons
        ? summary.comparisons.map(comparisonBrief).join('. ')
        : publishedBrief(summary, figure)
    case 'sweep':
      return lawBrief(summary, figure)
    case 'phase':
      return phaseBrief(summary)
    case 'bars':
      return barsBrief(summary)
  }
}

/** `pMoE − CNN: +2.9 to +12.4 points, ahead at 10, behind at 0 of 10 numbers of images; 94.0 % with 0.16 of its images`. */
function comparisonBrief({ series, baseline, differences, ratios }: Comparison): string {
  const means = differences.map(({ mean }) => mean)
  const { ahead, behind } = decided(differences)
  const sides = `ahead at ${ahead.length}, behind at ${behind.length} of ${differences.length} numbers of images`
  const range = `${signed(Math.min(...means))} to ${signed(Math.max(...means))} points`
  const finite = ratios.find(({ ratio }) => Number.isFinite(ratio) && ratio > 0)
  const interval = finite?.interval ? ` (${rangeText(finite.interval)})` : ''
  const share = finite
    ? `; ${points(finite.model.target)} % with ${finite.ratio.toFixed(2)}${interval} of its images`
    : ''
  return `${series} − ${baseline}: ${range}, ${sides}${share}`
}

/** Where the paper gives numbers: ours beside them. */
function publishedBrief({ points: measured }: StudySummary, figure: Figure & { kind: 'curve' }): string {
  return Object.entries(figure.published ?? {})
    .flatMap(([series, numbers]) =>
      numbers.map(({ samples, accuracy }) => {
        const match = measured.find(point => point.series === series && point.samples === samples)
        const mean = match ? `${points(match.mean)} %` : 'not measured'
        return `${series} at N = ${samples}: ${mean}, the paper ${points(accuracy)} %`
      }),
    )
    .join('; ')
}

function lawBrief({ errorLaw }: StudySummary, { over, exponent }: Figure & { kind: 'sweep' }): string {
  const letter = sweptLetters[over]
  if (!errorLaw) return 'too few values to fit a power'
  const range = errorLaw.interval ? ` (${rangeText(errorLaw.interval)})` : ''
  return `the error grows as ${letter} to the power ${errorLaw.exponent.toFixed(2)}${range}, predicted ${exponent}`
}

function phaseBrief({ phases }: StudySummary): string {
  if (!phases) return 'nothing yet'
  const runs: { readonly needed: string; readonly ls: number[] }[] = []
  for (const [i, l] of phases.xs.entries()) {
    const needed = String(phases.boundary[i] ?? 'none')
    const last = runs.at(-1)
    if (last?.needed === needed) last.ls.push(l)
    else runs.push({ needed, ls: [l] })
  }
  const ranges = runs.map(({ needed, ls }) => {
    const upTo = ls.length > 1 ? ` to ${ls.at(-1)}` : ''
    return `${needed} at l = ${ls[0]}${upTo}`
  })
  return `half of the trials succeed from this many images: ${ranges.join(', ')}`
}

function barsBrief({ comparisons = [] }: StudySummary): string {
  const { ahead, behind } = decidedAmong(comparisons)
  const list = (side: typeof ahead) =>
    side.map(({ series, mean }) => `${series} ${signed(mean)}`).join(', ') || 'nothing'
  return `better than the default by more than chance: ${list(ahead)}; worse: ${list(behind)}`
}

/** The same for a study of cost. */
export function costBrief(axes: readonly CostSummary[]): string {
  const powers = axes.flatMap(({ letter, timeLaw }) =>
    timeLaw ? [`${letter}^${timeLaw.exponent.toFixed(2)}`] : [],
  )
  return powers.length > 0 ? `time grows as ${powers.join(', ')}` : 'nothing yet'
}
