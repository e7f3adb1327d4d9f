import sharp from 'sharp'
import { type ImageStream, streamOf } from '../../../src/data/image-stream.js'
import type { RegionStream } from '../../../src/data/regions/region-stream.js'
import { type ViewableImages, viewableImages } from '../../../src/data/viewable-images.js'
import type { WrongImage } from '../../../src/report/evaluation-page.js'
import { viewSize } from '../../../src/shapes.js'
import { probabilityOf } from '../../../src/statistics/predictions.js'
import type { ImagePredictions } from '../../../src/train/evaluate.js'
import { type Measurement, nameOfImage } from './measurement.js'

/** Images that are shown at most. */
const MOST_SHOWN = 24
/** Longest side of a picture, in pixels. */
const MOST_PX = 192

/** An image that was classified wrongly, and its pixels. */
export interface ShownWrong extends WrongImage {
  readonly image: ViewableImages
}

/**
 * The wrong images whose class was given the lowest probability, the lowest first; at most 24.
 *
 * @throws Error when an image can no longer be read
 */
export async function mostWrong(
  { images: { set }, predictions }: Measurement,
  classNames: readonly string[],
): Promise<ShownWrong[]> {
  const { labels, predicted } = predictions
  const name = (label: number | undefined) => classNames[label ?? -1] ?? String(label)
  const stream = 'images' in set ? streamOf(set) : set
  const shown: ShownWrong[] = []
  for (const position of wrongest(predictions).slice(0, MOST_SHOWN)) {
    const [label, guess] = [labels[position] as number, predicted[position] as number]
    const image = await viewable(stream, position)
    shown.push({
      name: nameOfImage(set, position),
      uri: await dataUri(image),
      side: Math.max(image.shape[0], image.shape[1]),
      trueClass: name(label),
      predictedClass: name(guess),
      trueProbability: probabilityOf(predictions, position, label),
      predictedProbability: probabilityOf(predictions, position, guess),
      image,
    })
  }
  return shown
}

/** Positions of the wrong images, the least probable class first. */
function wrongest({ labels, predicted, logProbabilities, numClasses }: ImagePredictions): number[] {
  const own = (position: number) =>
    logProbabilities[position * numClasses + (labels[position] as number)] as number
  return Array.from(labels.keys())
    .filter(position => labels[position] !== predicted[position])
    .sort((a, b) => own(a) - own(b))
}

/** The picture of one image; of one that is read in parts, its view. */
async function viewable(stream: ImageStream | RegionStream, position: number): Promise<ViewableImages> {
  const { shape } = stream
  for await (const batch of stream.batches({ batchSize: 1, start: position, end: position + 1 })) {
    if (!('sources' in batch)) return viewableImages(batch.images, shape)
    const [source] = batch.sources
    if (!source) break
    const size = [source.height, source.width] as const
    const scale = Math.max(1, Math.ceil(Math.max(...size) / MOST_PX))
    const view = await source.view(scale)
    await source.close?.()
    return viewableImages(view, [...viewSize(size, scale), source.channels])
  }
  throw new RangeError(`evaluate: images must hold position ${position}, got ${stream.count} images`)
}

/** A picture as PNG, no larger than it is shown. */
async function dataUri({ pixels, shape: [height, width, channels] }: ViewableImages): Promise<string> {
  const png = await sharp(pixels, { raw: { height, width, channels } })
    .resize({ width: MOST_PX, height: MOST_PX, fit: 'inside', withoutEnlargement: true })
    .png()
    .toBuffer()
  return `data:image/png;base64,${png.toString('base64')}`
}
