import { type Predictions, probabilityOf } from './predictions.js'

/**
 * The Brier score of each item: the sum over the classes of (p_k - y_k)^2, with y_k = 1 for its class and 0 for the
 * others (Brier 1950). For two classes it is twice what is also called by this name.
 *
 * @returns (n) in [0, 2]
 */
export function brierScores(predictions: Predictions): Float64Array {
  const { labels, numClasses } = predictions
  return Float64Array.from(labels, (label, item) => {
    let sum = 0
    for (let k = 0; k < numClasses; k++) {
      sum += (probabilityOf(predictions, item, k) - (k === label ? 1 : 0)) ** 2
    }
    return sum
  })
}
