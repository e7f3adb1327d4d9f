import type { ImageShape } from '../../../src/shapes.js'

/**
 * A picture of pixels as a canvas of its own size.
 *
 * @param pixels 0..255, (height, width, channels), of 1 or 3 channels
 */
export function pixelCanvas(pixels: Uint8Array, [height, width, channels]: ImageShape): HTMLCanvasElement {
  const canvas = document.createElement('canvas')
  canvas.width = width
  canvas.height = height
  paint(canvas, pixels, channels)
  return canvas
}

/** Paints pixels on a canvas of their size. */
export function paint(canvas: HTMLCanvasElement, pixels: Uint8Array, channels: number): void {
  const context = canvas.getContext('2d') as CanvasRenderingContext2D
  const image = context.createImageData(canvas.width, canvas.height)
  for (let pixel = 0; pixel < canvas.width * canvas.height; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      image.data[4 * pixel + channel] = pixels[pixel * channels + (channels === 3 ? channel : 0)] as number
    }
    image.data[4 * pixel + 3] = 255
  }
  context.putImageData(image, 0, 0)
}
