import { permutation, type Random } from '../../random.js'
import type { ImageValues } from '../image-values.js'
import { between, type Variation } from './variation.js'

/** How far colours are varied. */
export interface ColorJitter {
  /** Brightness, contrast and saturation are multiplied by a factor uniform on [max(0, 1 - value), 1 + value]. */
  readonly brightness?: number
  readonly contrast?: number
  readonly saturation?: number
  /** The hue is turned by a share of the circle uniform on [-value, value]; at most 1/2. */
  readonly hue?: number
}

/** The parts of a colour jitter. */
export const JITTER_PARTS = ['brightness', 'contrast', 'saturation', 'hue'] as const

/**
 * Luminance of a pixel of an image, 0..255: (19595 R + 38470 G + 7471 B + 2^15) >> 16 as Pillow computes `L`, or the one
 * value that it has.
 */
function luminance(values: ImageValues, at: number, channels: number): number {
  const first = values[at] as number
  if (channels < 3) return first
  return (
    (first * 19595 + (values[at + 1] as number) * 38470 + (values[at + 2] as number) * 7471 + 32768) >> 16
  )
}

/** Rounded to the nearest value of a pixel. */
export function clamped(value: number): number {
  return value <= 0 ? 0 : value >= 255 ? 255 : (value + 0.5) | 0
}

/** Every value by a table of 256. */
export function byTable(from: ImageValues, to: ImageValues, table: Uint8Array): void {
  for (let i = 0; i < from.length; i++) to[i] = table[from[i] as number] as number
}

/** A table of what becomes of each value of a pixel. */
export function tableOf(map: (value: number) => number): Uint8Array {
  const table = new Uint8Array(256)
  for (let value = 0; value < 256; value++) table[value] = clamped(map(value))
  return table
}

/** Multiplies every value: blends with black, as `adjust_brightness` of torchvision. */
export function brighten(factor: number): Variation {
  const table = tableOf(value => value * factor)
  return (from, to) => byTable(from, to, table)
}

/** Blends with the mean luminance of the image, rounded, as `adjust_contrast` of torchvision on Pillow images. */
export function contrast(factor: number): Variation {
  return (from, to, [, , channels]) => {
    let sum = 0
    for (let at = 0; at < from.length; at += channels) sum += luminance(from, at, channels)
    const mean = Math.round(sum / (from.length / channels))
    byTable(
      from,
      to,
      tableOf(value => mean + factor * (value - mean)),
    )
  }
}

/** Blends every pixel with its luminance, as `adjust_saturation` of torchvision; grey images stay as they are. */
export function saturate(factor: number): Variation {
  return (from, to, [, , channels]) => {
    for (let at = 0; at < from.length; at += channels) {
      const grey = luminance(from, at, channels)
      for (let c = 0; c < channels; c++) {
        to[at + c] = clamped(grey + factor * ((from[at + c] as number) - grey))
      }
    }
  }
}

/** Makes an image of three channels grey: all three are its luminance. */
export const grey: Variation = saturate(0)

/**
 * Turns the hue by a share of the circle, as `adjust_hue` of torchvision: in HSV, value and saturation stay. Colours are
 * rounded once, at the end; images of one channel stay as they are.
 */
export function turnHue(share: number): Variation {
  const turn = 6 * (share - Math.floor(share))
  return (from, to, [, , channels]) => {
    if (channels < 3 || turn === 0) {
      to.set(from)
      return
    }
    for (let at = 0; at < from.length; at += 3) {
      const r = from[at] as number
      const g = from[at + 1] as number
      const b = from[at + 2] as number
      const most = Math.max(r, g, b)
      const chroma = most - Math.min(r, g, b)
      const hue = chroma === 0 ? 0 : hueOf(r, g, b, most, chroma) + turn
      to[at] = clamped(most - chroma * lacking(hue + 5))
      to[at + 1] = clamped(most - chroma * lacking(hue + 3))
      to[at + 2] = clamped(most - chroma * lacking(hue + 1))
    }
  }
}

/** Hue in sixths of the circle, [-1, 5]. */
function hueOf(r: number, g: number, b: number, most: number, chroma: number): number {
  if (most === r) return (g - b) / chroma
  return most === g ? (b - r) / chroma + 2 : (r - g) / chroma + 4
}

/** The share of the chroma that a channel lacks at a hue that is counted from it, in sixths of the circle, [0, 18). */
function lacking(hue: number): number {
  const sixth = hue >= 12 ? hue - 12 : hue >= 6 ? hue - 6 : hue
  return Math.max(0, Math.min(sixth, 4 - sixth, 1))
}

/** Draws factors and the order in which they are applied, as `ColorJitter` of torchvision. */
export function drawJitter(chance: Random, jitter: ColorJitter): Variation {
  const order = permutation(JITTER_PARTS.length, chance)
  const around = (range = 0) => between(chance, Math.max(0, 1 - range), 1 + range)
  const factors = JITTER_PARTS.map(part =>
    part === 'hue' ? between(chance, -(jitter.hue ?? 0), jitter.hue ?? 0) : around(jitter[part]),
  )
  const changes = [...order].flatMap(i => {
    const part = JITTER_PARTS[i] as (typeof JITTER_PARTS)[number]
    return jitter[part] ? [changeOf[part](factors[i] as number)] : []
  })
  return inTurn(changes)
}

const changeOf = {
  brightness: brighten,
  contrast,
  saturation: saturate,
  hue: turnHue,
} as const satisfies Record<keyof ColorJitter, (value: number) => Variation>

/** Several changes, one after the other. */
export function inTurn(changes: readonly Variation[]): Variation {
  return (from, to, shape) => {
    let current = from
    for (const [i, change] of changes.entries()) {
      const next = i === changes.length - 1 ? to : current.slice()
      change(current, next, shape)
      current = next
    }
    if (changes.length === 0) to.set(from)
  }
}
