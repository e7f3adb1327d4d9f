import { RankedScores } from './ranked-scores.js'

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
  return precisionArea(new RankedScores(scores, isPositive, 'averagePrecision'))
}

/**
 * As {@link averagePrecision}.
 *
 * @param weights how often each item counts; once unless given
 */
export function precisionArea(ranked: RankedScores, weights?: ArrayLike<number>): number {
  let [truePositives, all, sum] = [0, 0, 0]
  ranked.forEachScore((_, positives, negatives) => {
    truePositives += positives
    all += positives + negatives
    sum += positives * (truePositives / all)
  }, weights)
  return sum / truePositives
}
