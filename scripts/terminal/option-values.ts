import { InvalidArgumentError } from 'commander'
import type { UnreadableLimit } from '../../src/data/unreadable-images.js'

/** Parses an integer of at least 1. */
export function positiveInteger(text: string): number {
  return number(text, value => Number.isInteger(value) && value >= 1, 'a positive integer')
}

/** Parses an integer of at least 0. */
export function wholeNumber(text: string): number {
  return number(text, value => Number.isInteger(value) && value >= 0, 'an integer of at least 0')
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

/** Parses a number of images, `3`, or a percentage of them, `2%`. */
export function imagesOrShare(text: string): UnreadableLimit {
  const isShare = /^\d+(\.\d+)?%$/.test(text)
  if (isShare && Number.parseFloat(text) <= 100) return `${Number.parseFloat(text)}%`
  if (/^\d+$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It must be a number of images or a share of them: 3, or 2%.')
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

/** Parses numbers by name, `deltaD=0.5,lStar=6`. */
export function numberSettings(...names: readonly string[]): (text: string) => Record<string, number> {
  return text => {
    const pairs = text.split(',').map((part): [string, number] => {
      const [name = '', value = '', ...rest] = part.split('=').map(word => word.trim())
      if (!names.includes(name) || value === '' || rest.length > 0 || !Number.isFinite(Number(value))) {
        throw new InvalidArgumentError(`It must be NAME=NUMBER,... of ${names.join(', ')}.`)
      }
      return [name, Number(value)]
    })
    return Object.fromEntries(pairs)
  }
}

/** Parses patterns of layer names, `stem,group1_*`. */
export function layerPatterns(text: string): string[] {
  const patterns = text.split(',').map(part => part.trim())
  if (patterns.every(pattern => pattern !== '')) return patterns
  throw new InvalidArgumentError('It must be names of layers: stem,group1_*.')
}

/** Parses a learning rate of some layers, `patch_moe=0.05`, as a list of one. */
export function layerRate(text: string): { pattern: string; learningRate: number }[] {
  const at = text.lastIndexOf('=')
  const pattern = text.slice(0, Math.max(at, 0)).trim()
  const learningRate = Number(text.slice(at + 1).trim() || Number.NaN)
  if (pattern !== '' && learningRate > 0 && learningRate < Infinity) return [{ pattern, learningRate }]
  throw new InvalidArgumentError('It must be layers and a rate above 0: patch_moe=0.05.')
}

/** Parses how the patches per expert are annealed, `64:16:5`: from, to, and the epochs that it takes. */
export function annealing(text: string): { from: number; to: number; epochs: number } {
  const [from, to, epochs, ...rest] = text
    .split(':')
    .map(part => (part.trim() === '' ? Number.NaN : Number(part)))
  const whole = [from, to, epochs].every(value => Number.isInteger(value) && (value as number) >= 1)
  if (whole && rest.length === 0 && (to as number) <= (from as number)) {
    return { from: from as number, to: to as number, epochs: epochs as number }
  }
  throw new InvalidArgumentError('It must be FROM:TO:EPOCHS in whole numbers, FROM at least TO: 64:16:5.')
}

function number(text: string, allowed: (value: number) => boolean, requirement: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (allowed(value)) return value
  throw new InvalidArgumentError(`It must be ${requirement}.`)
}
