/**
 * Checks a count.
 *
 * @param where the function's name and the option's
 * @throws RangeError when it is no integer in [1, 2^53)
 */
export function checkCount(value: number, where: string): void {
  checkNumber(value, where, 'an integer of at least 1', count => Number.isSafeInteger(count) && count >= 1)
}

/**
 * Checks a finite number.
 *
 * @param requirement what it must be, for the error: `a number above 0`
 * @throws RangeError when it is no finite number or not as required
 */
export function checkNumber(
  value: number,
  where: string,
  requirement: string,
  isFit: (value: number) => boolean,
): void {
  if (Number.isFinite(value) && isFit(value)) return
  throw new RangeError(`${where} must be ${requirement}, got ${value}`)
}
