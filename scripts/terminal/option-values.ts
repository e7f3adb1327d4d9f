import { InvalidArgumentError } from 'commander'

/** Parses an integer of at least 1. */
export function positiveInteger(text: string): number {
  return number(text, value => Number.isInteger(value) && value >= 1, 'a positive integer')
}

/** Parses an integer in [0, 2^32). */
export function seedNumber(text: string): number {
  return number(
    text,
    value => Number.isInteger(value) && value >= 0 && value < 2 ** 32,
    'an integer in [0, 2^32)',
  )
}

/** Parses a number above 0. */
export function positiveNumber(text: string): number {
  return number(text, value => value > 0 && value < Infinity, 'a number above 0')
}

/** Parses a share in [0, 1). */
export function share(text: string): number {
  return number(text, value => value >= 0 && value < 1, 'a number in [0, 1)')
}

/** Parses a size in pixels, `4` or `4x2` (height x width). */
export function pixelSize(text: string): number | [number, number] {
  const sides = text.split('x').map(Number)
  const [height, width, ...rest] = sides
  const positive = sides.every(side => Number.isInteger(side) && side >= 1)
  if (height === undefined || rest.length > 0 || !positive) {
    throw new InvalidArgumentError('It must be pixels: 4, or 4x2.')
  }
  return width === undefined ? height : [height, width]
}

/** Parses class numbers, `0,1,8,9`. */
export function classNumbers(text: string): number[] {
  const numbers = text.split(',').map(part => (part.trim() === '' ? Number.NaN : Number(part)))
  if (numbers.every(value => Number.isInteger(value) && value >= 0)) return numbers
  throw new InvalidArgumentError('It must be class numbers: 0,1,8,9.')
}

/** Parses a size in pixels as [height, width]: `64`, or `64x48`. */
export function imageSize(text: string): [number, number] {
  const size = pixelSize(text)
  return typeof size === 'number' ? [size, size] : size
}

function number(text: string, allowed: (value: number) => boolean, rule: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (allowed(value)) return value
  throw new InvalidArgumentError(`It must be ${rule}.`)
}
