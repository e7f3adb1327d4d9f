/**
 * How far tensors are apart, as a share of the largest right number of each, 1 at least. Where their sizes differ, or one alone is no
 * number, it is the largest finite number: JSON has no word for infinity, and writes NaN as null, which counts as 0.
 */
export function distance(are: readonly Float32Array[], should: readonly Float32Array[]): number {
  if (are.length !== should.length) return Number.MAX_VALUE
  const distances = are.map((values, i) => distanceOf(values, should[i] as Float32Array))
  return Math.min(Math.max(...distances), Number.MAX_VALUE)
}

/** The largest difference, as a share of the largest of the right numbers, 1 at least; infinite where one alone is no number. */
function distanceOf(are: Float32Array, should: Float32Array): number {
  if (are.length !== should.length) return Number.POSITIVE_INFINITY
  const scale = should.reduce(
    (most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most),
    1,
  )
  return are.reduce((most, value, i) => {
    const right = should[i] as number
    if (Object.is(value, right) || (Number.isNaN(value) && Number.isNaN(right))) return most
    const apart = Math.abs(value - right) / scale
    return Number.isNaN(apart) ? Number.POSITIVE_INFINITY : Math.max(most, apart)
  }, 0)
}
