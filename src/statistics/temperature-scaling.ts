import type { Predictions } from './predictions.js'

/** Temperatures that are considered. */
const LOWEST = 0.05
const HIGHEST = 20
/** Halvings of the range of ln(temperature): to a relative precision of 1e-9. */
const STEPS = 34

/**
 * Temperature scaling (Guo et al. 2017): the temperature T for which the softmax of ln(p)/T has the least negative log
 * likelihood. Above 1 the probabilities were too sure, below 1 not sure enough; predicted classes stay what they are.
 *
 * In 1/T the likelihood is convex, so its slope has one zero, which is found by halving.
 *
 * @param predictions of items that were not trained on
 * @returns in (0.05, 20); undefined where nothing within this range is best, as where all predictions are right
 */
export function fitTemperature(predictions: Predictions): number | undefined {
  let [low, high] = [Math.log(LOWEST), Math.log(HIGHEST)]
  if (!(slope(predictions, 1 / LOWEST) > 0 && slope(predictions, 1 / HIGHEST) < 0)) return undefined
  for (let step = 0; step < STEPS; step++) {
    const middle = (low + high) / 2
    // A positive slope in 1/T means that 1/T is too large, T too low.
    if (slope(predictions, Math.exp(-middle)) > 0) low = middle
    else high = middle
  }
  return Math.exp((low + high) / 2)
}

/** The slope of the summed negative log likelihood in 1/T: sum over items of E[ln p] - ln p of the class. */
function slope({ labels, logProbabilities, numClasses }: Predictions, inverse: number): number {
  let sum = 0
  for (let item = 0; item < labels.length; item++) {
    const first = item * numClasses
    const own = logProbabilities[first + labels[item]!]!
    const largest = largestOf(logProbabilities, first, numClasses)
    let [total, weighted] = [0, 0]
    for (let k = 0; k < numClasses; k++) {
      const log = logProbabilities[first + k]!
      const weight = Math.exp((log - largest) * inverse)
      if (weight === 0) continue
      total += weight
      weighted += weight * log
    }
    // A class of probability 0 stays at 0 whatever the temperature.
    if (own !== -Infinity) sum += weighted / total - own
  }
  return sum
}

/**
 * Predictions with their probabilities scaled by a temperature; the predicted classes are the same.
 *
 * @throws RangeError when the temperature is not above 0
 */
export function scaled(predictions: Predictions, temperature: number): Predictions {
  if (!(temperature > 0 && temperature < Infinity)) {
    throw new RangeError(`scaled: temperature must be a number above 0, got ${temperature}`)
  }
  const { logProbabilities: logs, numClasses, labels } = predictions
  const logProbabilities = new Float64Array(logs.length)
  for (let item = 0; item < labels.length; item++) {
    const first = item * numClasses
    const largest = largestOf(logs, first, numClasses)
    let total = 0
    for (let k = 0; k < numClasses; k++) total += Math.exp((logs[first + k]! - largest) / temperature)
    for (let k = 0; k < numClasses; k++) {
      logProbabilities[first + k] = (logs[first + k]! - largest) / temperature - Math.log(total)
    }
  }
  return { ...predictions, logProbabilities }
}

function largestOf(values: ArrayLike<number>, first: number, count: number): number {
  let largest = -Infinity
  for (let k = 0; k < count; k++) largest = Math.max(largest, values[first + k]!)
  return largest
}
