import type * as tfl from '@tensorflow/tfjs-layers'
import sharp from 'sharp'
import type { ImageSet } from '../../src/data/image-set.js'
import { firstImages, type ImageStream } from '../../src/data/image-stream.js'
import { type ViewableImages, viewableImages } from '../../src/data/viewable-images.js'
import { explain } from '../../src/explain/explain.js'
import type { RoutedImage } from '../../src/report/routing-figure.js'
import { truePart } from './true-part.js'

/**
 * The first images of a set, with the predictions of a mixture and the patches that its experts kept.
 *
 * @returns an empty list for a model that keeps every patch
 */
export async function routedImages(
  model: tfl.LayersModel,
  source: ImageSet | ImageStream,
  count: number,
): Promise<RoutedImage[]> {
  const set = await firstImages(source, count)
  const { images } = set
  const { grid, images: explained } = await explain(model, images, set.shape, { sensitivity: false })
  if (!grid) return []
  const { pixels, shape } = viewableImages(images, set.shape)
  const pictureBytes = shape[0] * shape[1] * shape[2]
  return Promise.all(
    explained.map(async ({ probabilities, predicted, experts }, i): Promise<RoutedImage> => {
      const truth = truePart(set, i)
      return {
        uri: await pngUri(pixels.subarray(i * pictureBytes, (i + 1) * pictureBytes), shape),
        size: [shape[0], shape[1]],
        trueClass: set.classNames[set.labels[i]!] ?? String(set.labels[i]),
        predictedClass: set.classNames[predicted] ?? String(predicted),
        probability: probabilities[predicted]!,
        grid,
        experts,
        ...(truth && { truth }),
      }
    }),
  )
}

/** Pixels as a PNG in a data URI. */
async function pngUri(
  pixels: Uint8Array,
  [height, width, channels]: ViewableImages['shape'],
): Promise<string> {
  const png = await sharp(pixels, { raw: { width, height, channels } })
    .png({ compressionLevel: 9 })
    .toBuffer()
  return `data:image/png;base64,${png.toString('base64')}`
}
