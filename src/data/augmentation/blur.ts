import type { ImageValues } from '../image-values.js'
import { roundingOf, type Variation } from './variation.js'

/**
 * Blurs with a Gaussian, cut off at three standard deviations; beyond the edges the image is mirrored, the edge pixel not
 * repeated, as `GaussianBlur` of torchvision.
 *
 * @param sigma standard deviation in pixels, above 0
 */
export function blur(sigma: number): Variation {
  const radius = Math.ceil(3 * sigma)
  const weights = Float64Array.from({ length: 2 * radius + 1 }, (_, i) =>
    Math.exp(-((i - radius) ** 2) / (2 * sigma ** 2)),
  )
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const kernel = weights.map(weight => weight / total)
  return (from, to, [height, width, channels]) => {
    const rowLength = width * channels
    const across = new Float32Array(from.length)
    const columns = mirroredPlaces(width, radius)
    for (let row = 0; row < height; row++) {
      mixLines(from, across, {
        kernel,
        places: columns,
        step: channels,
        width: channels,
        start: row * rowLength,
      })
    }
    mixLines(across, to, {
      kernel,
      places: mirroredPlaces(height, radius),
      step: rowLength,
      width: rowLength,
      start: 0,
    })
  }
}

/** How pieces of an image, whole rows or single pixels, are mixed with those before and after them. */
interface LineMix {
  readonly kernel: Float64Array
  /** The pieces from `radius` before the first to `radius` after the last. */
  readonly places: Int32Array
  /** Values from one piece to the next. */
  readonly step: number
  /** Values of a piece. */
  readonly width: number
  /** The first value of the first piece. */
  readonly start: number
}

function mixLines(from: ImageValues, to: ImageValues, { kernel, places, step, width, start }: LineMix): void {
  const half = roundingOf(to)
  const count = places.length - kernel.length + 1
  for (let piece = 0; piece < count; piece++) {
    for (let i = 0; i < width; i++) {
      let sum = 0
      for (let tap = 0; tap < kernel.length; tap++) {
        sum += (kernel[tap] as number) * (from[start + (places[piece + tap] as number) * step + i] as number)
      }
      to[start + piece * step + i] = sum + half
    }
  }
}

/** The places -radius to length + radius - 1, mirrored into [0, length) as often as it takes. */
function mirroredPlaces(length: number, radius: number): Int32Array {
  const period = Math.max(1, 2 * (length - 1))
  return Int32Array.from({ length: length + 2 * radius }, (_, i) => {
    const place = (((i - radius) % period) + period) % period
    return Math.min(place, period - place)
  })
}
