import { RankedScores, type ScoreCounts } from './ranked-scores.js'

/**
 * The area under the ROC curve: how probable it is that a score of the first group is above one of the second, ties
 * counting half (Mann and Whitney 1947). 1 where the scores separate the groups, 1/2 where they say nothing.
 *
 * @returns in [0, 1]; NaN where a group is empty
 * @throws RangeError when a score is not finite
 */
export function areaUnderCurve(above: readonly number[], below: readonly number[]): number {
  const isAbove = (item: number) => item < above.length
  return rocArea(new RankedScores([...above, ...below], isAbove, 'areaUnderCurve').counts())
}

/** As {@link areaUnderCurve}, of the positive items above the others. */
export function rocArea({ length, positives, negatives }: ScoreCounts): number {
  let above = 0
  let below = 0
  let wins = 0
  for (let i = 0; i < length; i++) {
    wins += negatives[i]! * (above + positives[i]! / 2)
    above += positives[i]!
    below += negatives[i]!
  }
  return wins / (above * below)
}
