import type { ImageShape } from '../../../src/shapes.js'

/** The view of an image, block by block from the definition. */
export function blockMeansOf(
  pixels: Uint8Array,
  [height, width, channels]: ImageShape,
  scale: number,
): Uint8Array {
  const view: number[] = []
  for (let top = 0; top < height; top += scale) {
    for (let left = 0; left < width; left += scale) {
      for (let channel = 0; channel < channels; channel++) {
        let [sum, count] = [0, 0]
        for (let y = top; y < Math.min(height, top + scale); y++) {
          for (let x = left; x < Math.min(width, left + scale); x++) {
            sum += pixels[(y * width + x) * channels + channel] as number
            count++
          }
        }
        view.push(Math.round(sum / count))
      }
    }
  }
  return Uint8Array.from(view)
}

/** Regions of an image, pixel by pixel from the definition: 0 outside. */
export function regionsOf(
  pixels: Uint8Array,
  [height, width, channels]: ImageShape,
  boxes: readonly number[],
): Uint8Array {
  const regions: number[] = []
  for (let number = 0; number < boxes.length; number += 4) {
    const [top, left, boxHeight, boxWidth] = boxes.slice(number, number + 4) as [
      number,
      number,
      number,
      number,
    ]
    for (let y = top; y < top + boxHeight; y++) {
      for (let x = left; x < left + boxWidth; x++) {
        for (let channel = 0; channel < channels; channel++) {
          const isInside = y >= 0 && y < height && x >= 0 && x < width
          regions.push(isInside ? (pixels[(y * width + x) * channels + channel] as number) : 0)
        }
      }
    }
  }
  return Uint8Array.from(regions)
}
