/** How much the expert that receives an item tells about the item's class; logarithms are natural. */
export interface DispatchMetrics {
  /** n_{k,m} (classes, K): items of each class that each expert received. */
  readonly counts: readonly (readonly number[])[]
  /** Items sent to any expert. */
  readonly sent: number
  /** (K, classes) share of each class among the items of an expert; all NaN for an expert without items. */
  readonly classShares: readonly (readonly number[])[]
  /**
   * H = - sum_{m: n_m > 0} (n_m/n) sum_k (n_{k,m}/n_m) ln(n_{k,m}/n_m) (Chen et al., NeurIPS 2022, section 5), in nats:
   * 0 where every expert gets one class only, ln(classes) where experts do not tell classes apart. NaN without items.
   */
  readonly entropy: number
  /** I(class; expert) of the items that were sent, in nats: the entropy of their classes minus `entropy`. */
  readonly mutualInformation: number
}

/**
 * Measures how experts divide classes among themselves.
 *
 * @param counts n_{k,m} (classes, K): items of class k that were sent to expert m
 * @throws RangeError when there are no classes or experts, rows differ in length, or a count is not an integer of at
 *   least 0
 */
export function dispatchMetrics(counts: readonly (readonly number[])[]): DispatchMetrics {
  const experts = counts[0]?.length ?? 0
  for (const [label, row] of counts.entries()) {
    const wrong = row.find(count => !Number.isInteger(count) || count < 0)
    if (wrong !== undefined) {
      throw new RangeError(
        `dispatchMetrics: counts must be integers of at least 0, got ${wrong} (class ${label})`,
      )
    }
    if (row.length !== experts) {
      throw new RangeError(
        `dispatchMetrics: counts must be of ${experts} experts for each class, got ${row.length} (class ${label})`,
      )
    }
  }
  if (experts === 0) {
    throw new RangeError(
      `dispatchMetrics: counts must be of at least 1 class and expert, got ${counts.length} and 0`,
    )
  }
  const itemsOfExpert = Array.from({ length: experts }, (_, expert) => total(counts.map(row => row[expert]!)))
  const sent = total(itemsOfExpert)
  const classShares = itemsOfExpert.map((received, expert) => counts.map(row => row[expert]! / received))
  const entropy = total(
    itemsOfExpert.map((received, expert) =>
      received === 0 ? 0 : (received / sent) * entropyOf(classShares[expert]!),
    ),
  )
  const sharesOfAll = counts.map(row => total(row) / sent)
  if (sent === 0) return { counts, sent, classShares, entropy: Number.NaN, mutualInformation: Number.NaN }
  // Rounding must not leave an information below 0.
  const mutualInformation = Math.max(0, entropyOf(sharesOfAll) - entropy)
  return { counts, sent, classShares, entropy, mutualInformation }
}

/** - sum p ln p, in nats. */
function entropyOf(shares: readonly number[]): number {
  // Not -total(...), which gives -0 for an entropy of 0.
  return total(shares.map(share => (share > 0 ? share * Math.log(1 / share) : 0)))
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0)
}
