import { random } from '../random.js'

/**
 * The two-sided sign test: how probable a split at least as uneven as this one is, were each difference as likely to
 * be above 0 as below: min(1, 2 P(X <= min(above, below))), X ~ Binomial(above + below, 1/2).
 *
 * @param differences one a pair; pairs without a difference are ignored
 * @returns the p-value in (0, 1]; 1 where every difference is 0
 * @throws RangeError when a difference is not finite
 */
export function signTest(differences: readonly number[]): number {
  checkDifferences('signTest', differences)
  const above = differences.filter(value => value > 0).length
  const below = differences.filter(value => value < 0).length
  const count = above + below
  let term = 0.5 ** count // P(X = 0)
  let tail = 0
  for (let i = 0; i <= Math.min(above, below); i++) {
    tail += term
    term *= (count - i) / (i + 1)
  }
  return Math.min(1, 2 * tail)
}

/** Up to this number of pairs every assignment of signs is counted. */
const maxExactPairs = 16

/**
 * The two-sided permutation test of paired differences (Fisher 1935): the share of assignments of signs whose sum is
 * at least as far from 0 as the observed one. Under the hypothesis that both sides of each pair are alike, every
 * assignment is equally likely.
 *
 * Up to 16 pairs all 2^n assignments are counted; beyond that, the observed one and 99,999 random ones.
 *
 * @param differences one a pair, at least one
 * @param seed decides the random assignments; 0 unless given
 * @returns the p-value; at least 2^(1-n) of n pairs, so that 5 pairs never give less than 0.0625
 * @throws RangeError for no differences or one that is not finite
 */
export function signFlipTest(differences: readonly number[], seed = 0): number {
  checkDifferences('signFlipTest', differences)
  const count = differences.length
  if (count === 0) throw new RangeError('signFlipTest: differences must hold at least 1 number, got 0')
  const scale = differences.reduce((sum, value) => sum + Math.abs(value), 0)
  const observed = Math.abs(differences.reduce((sum, value) => sum + value, 0))
  // The tolerance makes sums equal that differ only in the order of addition.
  const isAsFar = (sum: number) => Math.abs(sum) >= observed - 1e-12 * scale
  if (count <= maxExactPairs) {
    let numAsFar = 0
    for (let signs = 0; signs < 2 ** count; signs++) {
      const sum = differences.reduce((total, value, i) => total + (signs & (1 << i) ? -value : value), 0)
      if (isAsFar(sum)) numAsFar++
    }
    return numAsFar / 2 ** count
  }
  const source = random(seed, 'signs')
  const numRandom = 99_999
  let numAsFar = 1
  for (let i = 0; i < numRandom; i++) {
    if (isAsFar(differences.reduce((sum, value) => sum + (source.next() < 0.5 ? -value : value), 0)))
      numAsFar++
  }
  return numAsFar / (numRandom + 1)
}

function checkDifferences(where: string, differences: readonly number[]): void {
  const wrong = differences.findIndex(value => !Number.isFinite(value))
  if (wrong < 0) return
  throw new RangeError(`${where}: differences must be finite, got ${differences[wrong]} (number ${wrong})`)
}
