import { type ImageShape, isPositiveInteger } from '../../shapes.js'
import { blockMeans, checkScale } from './block-means.js'
import { copyPart, emptyRegions, regionSize } from './region-boxes.js'
import type { RegionSource } from './region-source.js'

/**
 * An image in memory as one that is read in parts.
 *
 * @param pixels 0..255, (height, width, channels), row-major; not copied
 * @param shape height, width and channels
 * @param name of the image, for errors
 * @throws RangeError when the shape is not made of positive integers, or the pixels are not as many as it says
 */
export function arraySource(pixels: Uint8Array, shape: ImageShape, name = 'arraySource'): RegionSource {
  const [height, width, channels] = shape
  if (!shape.every(isPositiveInteger) || pixels.length !== height * width * channels) {
    throw new RangeError(
      `${name}: pixels must be as many as [height, width, channels] of positive integers say, ` +
        `got ${pixels.length} for [${shape.join(', ')}]`,
    )
  }
  const whole = { box: [0, 0, height, width], pixels } as const
  return {
    height,
    width,
    channels,
    async view(scale) {
      checkScale(scale, name)
      return blockMeans(pixels, shape, scale)
    },
    async regions(boxes) {
      const size = regionSize(boxes, [height, width], name)
      const regions = emptyRegions(boxes, size, channels)
      for (const part of regions.parts) copyPart(whole, part, channels)
      return regions.pixels
    },
  }
}
