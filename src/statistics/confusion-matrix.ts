/** How often items of one class were taken for another, or for what they are. */
export interface Confusion {
  /** The class number that the items have. */
  readonly label: number
  /** The class number that was predicted. */
  readonly predicted: number
  /** Items, at least 1. */
  readonly count: number
}

/**
 * The confusion matrix without its zeros: C(i, j) items have class i and were predicted as class j (Kohavi and Provost
 * 1998); for thousands of classes the whole matrix would be mostly zeros.
 *
 * @param labels (n) class numbers
 * @param predicted (n) class numbers
 * @returns by the first class, then by the second
 * @throws RangeError when they differ in number
 */
export function confusions(labels: ArrayLike<number>, predicted: ArrayLike<number>): Confusion[] {
  if (labels.length !== predicted.length) {
    throw new RangeError(
      `confusions: predicted must hold one class for each label, got ${predicted.length} for ${labels.length}`,
    )
  }
  const rows = new Map<number, Map<number, number>>()
  for (let i = 0; i < labels.length; i++) {
    const row = rows.get(labels[i]!) ?? new Map<number, number>()
    rows.set(labels[i]!, row.set(predicted[i]!, (row.get(predicted[i]!) ?? 0) + 1))
  }
  return byNumber(rows).flatMap(([label, row]) =>
    byNumber(row).map(([other, count]) => ({ label, predicted: other, count })),
  )
}

function byNumber<Value>(map: ReadonlyMap<number, Value>): (readonly [number, Value])[] {
  return [...map].sort(([a], [b]) => a - b)
}
