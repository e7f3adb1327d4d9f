import { RankedScores, type ScoreCounts } from './ranked-scores.js'

/**
 * The average precision: sum over the different scores, from the highest down, of (R_n - R_(n-1)) P_n, with recall R_n
 * and precision P_n of the items that score at least as high; items of one score count together, as in scikit-learn's
 * `average_precision_score`. For scores that say nothing it is about the share of the positive items.
 *
 * @param scores (n) finite numbers
 * @param isPositive whether the item of a position is positive
 * @returns in (0, 1]; NaN without positive items
 * @throws RangeError when a score is not finite
 */
export function averagePrecision(scores: ArrayLike<number>, isPositive: (item: number) => boolean): number {
  return precisionArea(new RankedScores(scores, isPositive, 'averagePrecision').counts())
}

/** As {@link averagePrecision}, of counted scores. */
export function precisionArea({ length, positives, negatives }: ScoreCounts): number {
  let right = 0
  let all = 0
  let sum = 0
  for (let i = 0; i < length; i++) {
    right += positives[i]!
    all += positives[i]! + negatives[i]!
    if (positives[i]! > 0) sum += positives[i]! * (right / all)
  }
  return sum / right
}
