import { permutation, random } from '../../../random.js'
import { testSeed } from '../dataset.js'

/** Share of the images that are kept for testing, where a folder has no test half of its own. */
export const testShare = 0.2

/**
 * Divides images into a training and a test half: always the same way, so that runs of different seeds are compared on
 * the same test images.
 *
 * @param count of the images, at least 2
 * @param purpose names what they are, so that several kinds are divided independently
 * @returns positions 0..count-1 in a seeded order; at least one in each half
 */
export function keepForTest(count: number, purpose: string): { train: Int32Array; test: Int32Array } {
  const order = permutation(count, random(testSeed, purpose))
  const numTest = Math.max(1, Math.round(testShare * count))
  return { train: order.subarray(numTest), test: order.subarray(0, numTest) }
}
