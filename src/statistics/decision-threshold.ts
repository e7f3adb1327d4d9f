import { type ClassScore, classScore } from './class-scores.js'
import { RankedScores } from './ranked-scores.js'

/** What a threshold is to reach: the best F1, or at least a precision in (0, 1], and then the best recall. */
export type ThresholdGoal = 'best-f1' | { readonly precision: number }

/** The least score that counts as a class, and what that gives for the items that it was chosen on. */
export interface DecisionThreshold extends ClassScore {
  readonly threshold: number
}

/**
 * Chooses from which score on an item counts as positive: halfway between the lowest score that is to count and the next
 * lower one, so that items between the two are not all on one side. Of thresholds that are equally good the highest is taken.
 *
 * @param scores (n) finite numbers, such as probabilities of the class
 * @param isPositive whether the item of a position is of the class
 * @returns undefined without positive items, or where no threshold has the precision
 * @throws RangeError when a score is not finite, or the precision not in (0, 1]
 */
export function chooseThreshold(
  scores: ArrayLike<number>,
  isPositive: (item: number) => boolean,
  goal: ThresholdGoal,
): DecisionThreshold | undefined {
  if (goal !== 'best-f1' && !(goal.precision > 0 && goal.precision <= 1)) {
    throw new RangeError(`chooseThreshold: precision must be in (0, 1], got ${goal.precision}`)
  }
  const counts = new RankedScores(scores, isPositive, 'chooseThreshold').counts()
  let [right, predicted] = [0, 0]
  const points = Array.from(counts.scores, (score, i) => {
    right += counts.positives[i]!
    predicted += counts.positives[i]! + counts.negatives[i]!
    return { score, predicted, right }
  })
  const count = right
  const candidates = points
    .map(({ score, predicted, right }, i) => ({
      threshold: halfway(score, points[i + 1]?.score ?? score),
      ...classScore(count, predicted, right),
    }))
    .filter(({ right, precision }) => right > 0 && (goal === 'best-f1' || precision >= goal.precision))
  const value = ({ f1, recall }: ClassScore) => (goal === 'best-f1' ? f1 : recall)
  return candidates.reduce<DecisionThreshold | undefined>(
    (best, each) => (best === undefined || value(each) > value(best) ? each : best),
    undefined,
  )
}

/** Between two scores; above the lower one also where nothing lies between. */
function halfway(score: number, lower: number): number {
  const middle = lower + (score - lower) / 2
  return middle > lower ? middle : score
}

/** Precision, recall and F1 where items that score at least `threshold` count as positive. */
export function scoreAtThreshold(
  scores: ArrayLike<number>,
  isPositive: (item: number) => boolean,
  threshold: number,
): ClassScore {
  let [count, predicted, right] = [0, 0, 0]
  for (let item = 0; item < scores.length; item++) {
    if (isPositive(item)) count++
    if (!(scores[item]! >= threshold)) continue
    predicted++
    if (isPositive(item)) right++
  }
  return classScore(count, predicted, right)
}
