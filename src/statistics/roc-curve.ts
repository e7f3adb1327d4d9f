import { type Predictions, probabilitiesOfClass } from './predictions.js'
import { RankedScores, type ScoreCounts } from './ranked-scores.js'

/** What one threshold gives: from which score on the answer is yes. */
export interface RocPoint {
  /** Share of the negative items that are taken for positive ones, in [0, 1]. */
  readonly falsePositives: number
  /** Share of the positive items that are found, in [0, 1]. */
  readonly truePositives: number
}

/**
 * The ROC curve of scores: from (0, 0), where nothing is taken, to (1, 1), where all is, one point for each different score; the
 * area under the lines between them is that of `rocArea`. Points between two others on one line are left out.
 *
 * @returns empty where there are no positive items, or no negative ones
 */
export function rocPoints({ length, positives, negatives }: ScoreCounts): RocPoint[] {
  const total = (counts: Float64Array) => counts.reduce((sum, count) => sum + count, 0)
  const [all, others] = [total(positives), total(negatives)]
  if (all === 0 || others === 0) return []
  const points: RocPoint[] = [{ falsePositives: 0, truePositives: 0 }]
  let [found, wrong] = [0, 0]
  for (let i = 0; i < length; i++) {
    const goesOn = i + 1 < length && isOnLine(i)
    found += positives[i]!
    wrong += negatives[i]!
    if (!goesOn) points.push({ falsePositives: wrong / others, truePositives: found / all })
  }
  return points

  /** Whether the line goes on in the same direction after this score. */
  function isOnLine(i: number): boolean {
    return positives[i]! * negatives[i + 1]! === positives[i + 1]! * negatives[i]!
  }
}

/**
 * The ROC curve of a class against the rest, by its probability.
 *
 * @returns empty for a class that no item has, or all have
 * @throws RangeError when a probability is not finite
 */
export function rocCurve(predictions: Predictions, label: number): RocPoint[] {
  const { labels } = predictions
  const isOfClass = (item: number) => labels[item] === label
  return rocPoints(new RankedScores(probabilitiesOfClass(predictions, label), isOfClass, 'rocCurve').counts())
}

/**
 * The mean of ROC curves: at each of 101 shares of false positives, from 0 to 1, the mean share of true ones.
 *
 * @param curves empty ones are left out
 * @returns empty where all are
 */
export function meanRocCurve(curves: readonly (readonly RocPoint[])[]): RocPoint[] {
  const drawn = curves.filter(curve => curve.length > 0)
  if (drawn.length === 0) return []
  const steps = Array.from({ length: 101 }, (_, i) => i / 100)
  const means = steps.map(share => ({
    falsePositives: share,
    truePositives: drawn.reduce((sum, curve) => sum + heightAt(curve, share), 0) / drawn.length,
  }))
  return [{ falsePositives: 0, truePositives: 0 }, ...means]
}

/** The highest share of true positives at a share of false ones. */
function heightAt(curve: readonly RocPoint[], share: number): number {
  const next = curve.findIndex(({ falsePositives }) => falsePositives > share)
  if (next < 0) return 1
  const [from, to] = [curve[next - 1]!, curve[next]!]
  const part = (share - from.falsePositives) / (to.falsePositives - from.falsePositives)
  return from.truePositives + part * (to.truePositives - from.truePositives)
}
