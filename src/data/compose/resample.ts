import type { PixelSet } from '../image-set.js'

/**
 * Adds a black border of `margin` pixels on every side of each image.
 *
 * @param margin integer of at least 0, in pixels
 */
export function padImages(set: PixelSet, margin: number): PixelSet {
  const [height, width, channels] = set.shape
  const [paddedHeight, paddedWidth] = [height + 2 * margin, width + 2 * margin]
  const images = new Uint8Array(set.count * paddedHeight * paddedWidth * channels)
  const rowBytes = width * channels
  for (let row = 0; row < set.count * height; row++) {
    const image = Math.floor(row / height)
    const paddedRow = image * paddedHeight + margin + (row - image * height)
    const start = (paddedRow * paddedWidth + margin) * channels
    images.set(set.images.subarray(row * rowBytes, (row + 1) * rowBytes), start)
  }
  return { ...set, images, shape: [paddedHeight, paddedWidth, channels] }
}

/**
 * Halves height and width: each pixel becomes the mean of 2x2, rounded half up.
 *
 * @throws RangeError when a side is odd
 */
export function halveImages(set: PixelSet): PixelSet {
  const [height, width, channels] = set.shape
  if (height % 2 !== 0 || width % 2 !== 0) {
    throw new RangeError(`halveImages: sides of the images must be even, got ${height}x${width}`)
  }
  const rowBytes = width * channels
  const images = new Uint8Array(set.images.length / 4)
  let target = 0
  // The images of a set lie one below the other, so that they halve as one tall image.
  for (let row = 0; row < set.count * height; row += 2) {
    for (let x = 0; x < rowBytes; x += 2 * channels) {
      const corner = row * rowBytes + x
      for (let c = corner; c < corner + channels; c++) {
        const upper = at(set.images, c) + at(set.images, c + channels)
        const lower = at(set.images, c + rowBytes) + at(set.images, c + rowBytes + channels)
        images[target++] = (upper + lower + 2) >> 2
      }
    }
  }
  return { ...set, images, shape: [height / 2, width / 2, channels] }
}

/**
 * Repeats the one channel of grey images as red, green and blue.
 *
 * @throws RangeError when the images do not have one channel
 */
export function greyToRgb(set: PixelSet): PixelSet {
  const [height, width, channels] = set.shape
  if (channels !== 1) throw new RangeError(`greyToRgb: images must have 1 channel, got ${channels}`)
  const images = new Uint8Array(3 * set.images.length)
  set.images.forEach((grey, pixel) => {
    images.fill(grey, 3 * pixel, 3 * pixel + 3)
  })
  return { ...set, images, shape: [height, width, 3] }
}

function at(pixels: Uint8Array, index: number): number {
  return pixels[index] as number
}
