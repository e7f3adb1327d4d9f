import { RankedScores } from './ranked-scores.js'

/**
 * The area under the ROC curve: how probable it is that a score of the first group is above one of the second, ties
 * counting half (Mann and Whitney 1947). 1 where the scores separate the groups, 1/2 where they say nothing.
 *
 * @returns in [0, 1]; NaN where a group is empty
 * @throws RangeError when a score is not finite
 */
export function areaUnderCurve(above: readonly number[], below: readonly number[]): number {
  const isAbove = (item: number) => item < above.length
  return rocArea(new RankedScores([...above, ...below], isAbove, 'areaUnderCurve'))
}

/**
 * As {@link areaUnderCurve}, the positive items above the others.
 *
 * @param weights how often each item counts; once unless given
 */
export function rocArea(ranked: RankedScores, weights?: ArrayLike<number>): number {
  let [above, below, wins] = [0, 0, 0]
  ranked.forEachScore((_, positives, negatives) => {
    wins += negatives * (above + positives / 2)
    above += positives
    below += negatives
  }, weights)
  return wins / (above * below)
}
