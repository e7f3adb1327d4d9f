import { isPositiveInteger } from '../shapes.js'

/** What a classifier says of n labelled items that belong to one of K classes each. */
export interface Predictions {
  /** (n) class numbers, integers in [0, K). */
  readonly labels: ArrayLike<number>
  /** (n) class numbers. */
  readonly predicted: ArrayLike<number>
  /**
   * (n, K) natural logarithms of the probabilities, row by row: at most 0 but for rounding, -Infinity for a probability
   * of 0. Logarithms, as probabilities near 0 and 1 would be rounded.
   */
  readonly logProbabilities: ArrayLike<number>
  /** K, at least 2. */
  readonly numClasses: number
}

/** How far above 0 rounding in single precision may bring a logarithm. */
const ROUNDING = 1e-4

/**
 * Checks that predictions are whole.
 *
 * @param where the caller, for errors
 * @throws RangeError when there are no items or fewer than 2 classes, arrays differ in length, a class is out of range,
 *   or a logarithm is NaN or above 0
 */
export function checkPredictions(where: string, predictions: Predictions): void {
  const { labels, predicted, logProbabilities, numClasses } = predictions
  const count = labels.length
  if (!isPositiveInteger(numClasses) || numClasses < 2) {
    throw new RangeError(`${where}: numClasses must be an integer of at least 2, got ${numClasses}`)
  }
  if (count === 0) throw new RangeError(`${where}: labels must hold at least 1 label, got 0`)
  if (predicted.length !== count || logProbabilities.length !== count * numClasses) {
    throw new RangeError(
      `${where}: predicted and logProbabilities must hold ${count} and ${count * numClasses} numbers, ` +
        `got ${predicted.length} and ${logProbabilities.length} (${count} labels, ${numClasses} classes)`,
    )
  }
  checkClassNumbers(`${where}: labels`, labels, numClasses)
  checkClassNumbers(`${where}: predicted`, predicted, numClasses)
  for (let i = 0; i < logProbabilities.length; i++) {
    if (logProbabilities[i]! <= ROUNDING) continue
    throw new RangeError(
      `${where}: logProbabilities must be numbers of at most 0, got ${logProbabilities[i]} ` +
        `(item ${Math.floor(i / numClasses)}, class ${i % numClasses})`,
    )
  }
}

function checkClassNumbers(what: string, classes: ArrayLike<number>, numClasses: number): void {
  for (let i = 0; i < classes.length; i++) {
    const label = classes[i]!
    if (Number.isInteger(label) && label >= 0 && label < numClasses) continue
    throw new RangeError(`${what} must be integers in [0, ${numClasses - 1}], got ${label} (item ${i})`)
  }
}

/** The probability of a class for one item, in [0, 1]. */
export function probabilityOf(
  { logProbabilities, numClasses }: Pick<Predictions, 'logProbabilities' | 'numClasses'>,
  item: number,
  label: number,
): number {
  return Math.min(1, Math.exp(logProbabilities[item * numClasses + label]!))
}

/** The probabilities of one class for every item. */
export function probabilitiesOfClass(predictions: Predictions, label: number): Float64Array {
  return Float64Array.from(predictions.labels, (_, item) => probabilityOf(predictions, item, label))
}
