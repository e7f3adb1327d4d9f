/** How well one class is told from the others. */
export interface ClassScore {
  /** Items of the class. */
  readonly count: number
  /** Items that were predicted to be of it. */
  readonly predicted: number
  /** Items of the class that were predicted to be of it. */
  readonly right: number
  /** right / predicted; NaN for a class that was never predicted. */
  readonly precision: number
  /** right / count; NaN for a class without items. */
  readonly recall: number
  /** 2 right / (count + predicted), the harmonic mean of the two; NaN for a class without items that was never predicted. */
  readonly f1: number
}

/** Precision, recall and F1 from counts (van Rijsbergen 1979, chapter 7). */
export function classScore(count: number, predicted: number, right: number): ClassScore {
  return {
    count,
    predicted,
    right,
    precision: right / predicted,
    recall: right / count,
    f1: (2 * right) / (count + predicted),
  }
}

/**
 * Precision, recall and F1 of every class, as scikit-learn's `precision_recall_fscore_support` with
 * `zero_division=nan`.
 *
 * @param labels (n) class numbers in [0, numClasses)
 * @param predicted (n) class numbers in [0, numClasses)
 * @param weights (n) how often each item counts; once unless given
 */
export function classScores(
  labels: ArrayLike<number>,
  predicted: ArrayLike<number>,
  numClasses: number,
  weights?: ArrayLike<number>,
): ClassScore[] {
  const counts = new Float64Array(numClasses)
  const predictions = new Float64Array(numClasses)
  const right = new Float64Array(numClasses)
  for (let i = 0; i < labels.length; i++) {
    const weight = weights ? weights[i]! : 1
    const [label, other] = [labels[i]!, predicted[i]!]
    counts[label]! += weight
    predictions[other]! += weight
    if (label === other) right[label]! += weight
  }
  return Array.from(counts, (count, label) => classScore(count, predictions[label]!, right[label]!))
}

/** How values of classes are averaged: all classes alike, or each by its items. */
export type Averaging = 'macro' | 'weighted'

/**
 * The mean of a value over the classes that have items; classes for which it is NaN are left out.
 *
 * @param values one a class
 * @param counts items of each class
 * @returns NaN where no class is left
 */
export function classAverage(
  values: readonly number[],
  counts: readonly number[],
  averaging: Averaging,
): number {
  let [sum, total] = [0, 0]
  for (const [label, value] of values.entries()) {
    const count = counts[label]!
    if (count === 0 || Number.isNaN(value)) continue
    const weight = averaging === 'macro' ? 1 : count
    sum += weight * value
    total += weight
  }
  return sum / total
}
