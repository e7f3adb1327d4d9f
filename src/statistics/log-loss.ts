import type { Predictions } from './predictions.js'

/**
 * The negative log likelihood of each item: -ln p of its class, in nats (Good 1952).
 *
 * @returns (n) at least 0 but for rounding; Infinity where the class had probability 0
 */
export function logLosses({ labels, logProbabilities, numClasses }: Predictions): Float64Array {
  return Float64Array.from(labels, (label, item) => -logProbabilities[item * numClasses + label]!)
}
