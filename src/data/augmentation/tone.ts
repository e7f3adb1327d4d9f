import type { ImageValues } from '../image-values.js'
import { byTable, clamped, tableOf } from './colour.js'
import type { Variation } from './variation.js'

/** Keeps the highest bits of every value, as `ImageOps.posterize` of Pillow. */
export function posterize(bits: number): Variation {
  const table = tableOf(value => value & (0xff << (8 - bits)))
  return (from, to) => byTable(from, to, table)
}

/** Inverts the values from a threshold on, as `ImageOps.solarize` of Pillow. */
export function solarize(threshold: number): Variation {
  const table = tableOf(value => (value < threshold ? value : 255 - value))
  return (from, to) => byTable(from, to, table)
}

/** Stretches each channel so that its least value becomes 0 and its greatest 255, as `ImageOps.autocontrast` of Pillow. */
export const autoContrast: Variation = (from, to, [, , channels]) =>
  byChannelTables(from, to, channels, counts => {
    const least = counts.findIndex(count => count > 0)
    const most = counts.findLastIndex(count => count > 0)
    return most === least
      ? tableOf(value => value)
      : tableOf(value => ((value - least) * 255) / (most - least))
  })

/** Makes the values of each channel about equally frequent, as `ImageOps.equalize` of Pillow. */
export const equalize: Variation = (from, to, [, , channels]) =>
  byChannelTables(from, to, channels, counts => {
    const total = from.length / channels
    const ofGreatest = counts[counts.findLastIndex(count => count > 0)] as number
    const step = Math.floor((total - ofGreatest) / 255)
    if (step === 0) return tableOf(value => value)
    let below = Math.floor(step / 2)
    return Uint8Array.from(counts, count => {
      const value = Math.min(255, Math.floor(below / step))
      below += count
      return value
    })
  })

function byChannelTables(
  from: ImageValues,
  to: ImageValues,
  channels: number,
  tableFor: (counts: Int32Array) => Uint8Array,
): void {
  for (let c = 0; c < channels; c++) {
    const counts = new Int32Array(256)
    for (let at = c; at < from.length; at += channels) {
      const value = from[at] as number
      counts[value] = (counts[value] as number) + 1
    }
    const table = tableFor(counts)
    for (let at = c; at < from.length; at += channels) to[at] = table[from[at] as number] as number
  }
}

/**
 * Blends an image with its smoothed copy, of which a pixel is (its eight neighbours + 5 times itself) / 13, rounded; pixels
 * of the edge stay as they are. As `ImageEnhance.Sharpness` of Pillow: 0 smooths, 1 leaves the image, more sharpens.
 */
export function sharpen(factor: number): Variation {
  return (from, to, [height, width, channels]) => {
    to.set(from)
    const rowLength = width * channels
    for (let row = 1; row < height - 1; row++) {
      for (let at = row * rowLength + channels; at < (row + 1) * rowLength - channels; at++) {
        const value = from[at] as number
        let sum = 4 * value
        for (let line = at - rowLength; line <= at + rowLength; line += rowLength) {
          sum +=
            (from[line - channels] as number) + (from[line] as number) + (from[line + channels] as number)
        }
        const smooth = Math.round(sum / 13)
        to[at] = clamped(smooth + factor * (value - smooth))
      }
    }
  }
}
