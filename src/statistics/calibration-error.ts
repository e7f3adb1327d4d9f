import { isPositiveInteger } from '../shapes.js'
import { type Predictions, probabilityOf } from './predictions.js'

/** Predictions of about the same confidence. */
export interface ConfidenceBin {
  /** The confidences that count, in (lower, upper]; 0 itself counts in the first. */
  readonly lower: number
  readonly upper: number
  readonly count: number
  /** Mean confidence; NaN for an empty bin. */
  readonly confidence: number
  /** Share of the predictions that are right; NaN for an empty bin. */
  readonly accuracy: number
}

/** How sure each prediction is, and whether it is right. */
export interface Confidences {
  /** (n) probability of the predicted class, in [0, 1]. */
  readonly confidences: Float64Array
  /** (n) 1 where the prediction is right, 0 elsewhere. */
  readonly right: Uint8Array
}

/** How many bins of equal width are usual (Guo et al. 2017). */
export const CONFIDENCE_BINS = 15

/** The confidence of each prediction: the probability of the predicted class. */
export function confidencesOf(predictions: Predictions): Confidences {
  const { labels, predicted } = predictions
  return {
    confidences: Float64Array.from(labels, (_, item) => probabilityOf(predictions, item, predicted[item]!)),
    right: Uint8Array.from(labels, (label, item) => (label === predicted[item] ? 1 : 0)),
  }
}

/**
 * The reliability diagram: predictions in bins of equal width by their confidence, with the share that is right in each
 * (Niculescu-Mizil and Caruana 2005).
 *
 * @param weights (n) how often each item counts; once unless given
 * @throws RangeError when the number of bins is not a positive integer
 */
export function reliability(
  { confidences, right }: Confidences,
  numBins = CONFIDENCE_BINS,
  weights?: ArrayLike<number>,
): ConfidenceBin[] {
  if (!isPositiveInteger(numBins)) {
    throw new RangeError(`reliability: numBins must be a positive integer, got ${numBins}`)
  }
  const counts = new Float64Array(numBins)
  const sums = new Float64Array(numBins)
  const hits = new Float64Array(numBins)
  for (let i = 0; i < confidences.length; i++) {
    const weight = weights ? weights[i]! : 1
    const bin = binOf(confidences[i]!, numBins)
    counts[bin]! += weight
    sums[bin]! += weight * confidences[i]!
    hits[bin]! += weight * right[i]!
  }
  return Array.from(counts, (count, bin) => ({
    lower: bin / numBins,
    upper: (bin + 1) / numBins,
    count,
    confidence: sums[bin]! / count,
    accuracy: hits[bin]! / count,
  }))
}

/** The product may be rounded: the edges that `reliability` gives decide. */
function binOf(confidence: number, numBins: number): number {
  const bin = Math.min(numBins - 1, Math.max(0, Math.ceil(confidence * numBins) - 1))
  if (bin > 0 && confidence <= bin / numBins) return bin - 1
  return bin < numBins - 1 && confidence > (bin + 1) / numBins ? bin + 1 : bin
}

/**
 * The expected calibration error: the mean over all predictions of |accuracy - confidence| of their bin,
 * sum_b (n_b / n) |accuracy_b - confidence_b| (Naeini et al. 2015). It depends on the number of bins, and is above 0 for
 * few items even where the probabilities are right.
 *
 * @returns in [0, 1]; NaN where all bins are empty
 */
export function calibrationError(bins: readonly ConfidenceBin[]): number {
  const filled = bins.filter(({ count }) => count > 0)
  const total = filled.reduce((sum, { count }) => sum + count, 0)
  return filled.reduce((sum, bin) => sum + bin.count * Math.abs(bin.accuracy - bin.confidence), 0) / total
}
