/**
 * The area under the ROC curve: how probable it is that a score of the first group is above one of the second, ties
 * counting half (Mann and Whitney 1947). 1 where the scores separate the groups, 1/2 where they say nothing.
 *
 * @returns in [0, 1]; NaN where a group is empty
 * @throws RangeError when a score is not finite
 */
export function areaUnderCurve(above: readonly number[], below: readonly number[]): number {
  const wrong = [...above, ...below].find(score => !Number.isFinite(score))
  if (wrong !== undefined) throw new RangeError(`areaUnderCurve: scores must be finite, got ${wrong}`)
  const wins = above.reduce(
    (sum, high) => sum + below.reduce((row, low) => row + (high > low ? 1 : high === low ? 0.5 : 0), 0),
    0,
  )
  return wins / (above.length * below.length)
}
