import { isPositiveInteger } from '../shapes.js'
import { othersThan } from './channels.js'

/** How many experts stay; one of the three. */
export interface Selection {
  /** Experts that stay, an integer in [1, K]. */
  readonly keep?: number
  /** Share of the K experts that go, in [0, 1): floor(ratio K) of them. */
  readonly ratio?: number
  /** Experts with a score below it go. */
  readonly threshold?: number
}

/** Which experts stay. */
export interface SelectedExperts {
  readonly kept: readonly number[]
  readonly removed: readonly number[]
  /** Experts of the last score that was kept, where some of that score went: their numbers decided. */
  readonly tied: readonly number[]
}

/**
 * Checks a selection before any work.
 *
 * @param path of the mixture, for errors
 * @throws RangeError when it is not exactly one of keep, ratio and threshold, or out of range
 */
export function checkSelection(selection: Selection, numExperts: number, path: string, where: string): void {
  const { keep, ratio, threshold } = selection
  const given = Object.entries({ keep, ratio, threshold }).filter(([, value]) => value !== undefined)
  if (given.length !== 1) {
    const names = given.map(([name]) => name).join(' and ') || 'none'
    throw new RangeError(
      `${where}: one of keep, ratio and threshold must be given, got ${names} (layer ${path})`,
    )
  }
  const context = `(layer ${path} has ${numExperts} experts)`
  if (keep !== undefined && (!isPositiveInteger(keep) || keep > numExperts)) {
    throw new RangeError(`${where}: keep must be an integer in [1, ${numExperts}], got ${keep} ${context}`)
  }
  if (ratio !== undefined && !(ratio >= 0 && ratio < 1)) {
    throw new RangeError(`${where}: ratio must be in [0, 1), got ${ratio} ${context}`)
  }
  if (threshold !== undefined && !Number.isFinite(threshold)) {
    throw new RangeError(`${where}: threshold must be a finite number, got ${threshold} ${context}`)
  }
}

/** How many experts stay, where no scores are needed to know it. */
export function numKept({ keep, ratio }: Selection, numExperts: number): number | undefined {
  if (keep !== undefined) return keep
  // 0.29 * 100 is a little less than 29.
  return ratio === undefined ? undefined : numExperts - Math.floor(ratio * numExperts + 1e-9)
}

/**
 * Takes the experts that stay.
 *
 * @param order the experts in the order of pruning
 * @throws RangeError when no score reaches the threshold
 */
export function selectExperts(
  selection: Selection,
  scores: readonly number[],
  order: readonly number[],
  path: string,
  where: string,
): SelectedExperts {
  const { threshold } = selection
  const numExperts = scores.length
  const count =
    numKept(selection, numExperts) ?? scores.filter(score => score >= (threshold as number)).length
  if (count === 0) {
    throw new RangeError(
      `${where}: threshold must leave at least 1 expert, got ${threshold} (scores up to ${Math.max(...scores)}, layer ${path})`,
    )
  }
  const removed = order.slice(0, numExperts - count).toSorted((a, b) => a - b)
  const kept = othersThan(removed, numExperts)
  const isTied = (expert: number) =>
    kept.some(other => scores[other] === scores[expert]) &&
    removed.some(other => scores[other] === scores[expert])
  return { kept, removed, tied: scores.flatMap((_, expert) => (isTied(expert) ? [expert] : [])) }
}

/** The experts in the order of pruning: small scores first, of equal ones the higher number. */
export function pruningOrder(scores: readonly number[]): readonly number[] {
  return scores
    .map((score, expert) => ({ score, expert }))
    .toSorted((a, b) => a.score - b.score || b.expert - a.expert)
    .map(({ expert }) => expert)
}
