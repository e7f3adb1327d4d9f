/**
 * The value below which a share of the numbers lies, by linear interpolation between the two nearest.
 *
 * @param share in [0, 1]; 0.5 is the median
 * @throws RangeError for no numbers
 */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new RangeError('quantile: values must hold at least 1 number, got 0')
  const sorted = values.toSorted((a, b) => a - b)
  const place = share * (sorted.length - 1)
  const below = sorted[Math.floor(place)]!
  const above = sorted[Math.ceil(place)]!
  return below + (above - below) * (place - Math.floor(place))
}

/** The number in the middle; of an even count, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}
