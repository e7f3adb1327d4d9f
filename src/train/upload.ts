import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { ImageSet } from '../data/image-set.js'
import type { ImageStream } from '../data/image-stream.js'
import { checkValues, type ImageValues } from '../data/image-values.js'
import { pixelTensor } from '../layers/pixels.js'
import type { ImageShape } from '../shapes.js'

export type { ImageValues } from '../data/image-values.js'

/**
 * Uploads whole images: floats as they are, bytes scaled on the backend, x / 255.
 *
 * @param images pixels 0..255 or finite values, (count, height, width, channels), row-major
 * @param shape height, width and channels of every image
 * @returns (count, height, width, channels) float32; in [0, 1] for bytes
 */
export function upload(images: ImageValues, shape: ImageShape): tf.Tensor4D {
  const [height, width, channels] = shape
  const count = images.length / (height * width * channels)
  const uploaded: [number, number, number, number] = [count, height, width, channels]
  if (images instanceof Float32Array) return tf.tensor4d(images, uploaded, 'float32')
  return pixelTensor(images, uploaded) as tf.Tensor4D
}

/**
 * Checks that a model can take the images of a set, and that it tells the set's classes apart.
 *
 * @param model its input must be (batch, height, width, channels)
 * @param numClasses how many classes the model's outputs stand for
 * @param where the caller and the name of the set, for errors: `train: test`
 * @throws RangeError when the set is empty, its arrays have other lengths than its count and shape say, its images
 * do not fit the model's input, a value is not finite, or a label is no class of the model
 * @throws TypeError when its images are neither bytes nor floats
 */
export function checkFits(
  model: tfl.LayersModel,
  numClasses: number,
  set: ImageSet | ImageStream,
  where: string,
): void {
  checkCount(set, where)
  if ('images' in set) checkLengths(set, where)
  checkImageShape(model, set.shape, where)
  checkClassNames(numClasses, set, where)
  // A stream checks values and labels as it reads them.
  if ('images' in set) checkValues(set.images, set.shape, where)
  if (!('labels' in set)) return
  for (const [index, label] of set.labels.entries()) {
    if (label < 0 || label >= numClasses) {
      throw new RangeError(
        `${where} must have labels in [0, ${numClasses - 1}], got ${label} (image ${index})`,
      )
    }
  }
}

/**
 * Checks that there are images, and that a model tells their classes apart.
 *
 * @param where the caller and the name of the set, for errors
 * @throws RangeError when there is no image, or the classes are not as many as the model's
 */
export function checkClasses(
  numClasses: number,
  set: Pick<ImageStream, 'count' | 'classNames'>,
  where: string,
): void {
  checkCount(set, where)
  checkClassNames(numClasses, set, where)
}

function checkCount({ count }: Pick<ImageStream, 'count'>, where: string): void {
  if (Number.isInteger(count) && count >= 1) return
  throw new RangeError(`${where} must hold at least 1 image, got ${count}`)
}

function checkClassNames(
  numClasses: number,
  { classNames }: Pick<ImageStream, 'classNames'>,
  where: string,
): void {
  if (classNames.length === numClasses) return
  throw new RangeError(
    `${where} must have the model's ${numClasses} classes, got ${classNames.length} (${classNames.join(', ')})`,
  )
}

/**
 * Checks that images of a shape fit the input of a model.
 *
 * @param where the caller and the name of the images, for errors
 * @throws RangeError when the model has several inputs or its input is another shape
 */
export function checkImageShape(model: tfl.LayersModel, shape: ImageShape, where: string): void {
  if (model.inputs.length !== 1) {
    throw new RangeError(`${where} must be for a model of 1 input, got ${model.inputs.length} inputs`)
  }
  const expected = model.inputs[0]?.shape.slice(1) ?? []
  const fits = expected.length === 3 && expected.every((side, axis) => side === null || side === shape[axis])
  if (!fits) {
    throw new RangeError(
      `${where} must fit the model's input [${expected.join(', ')}], got images of [${shape.join(', ')}]`,
    )
  }
}

/**
 * Checks that values are whole images that a model can take.
 *
 * @param where the caller and the name of the images, for errors
 * @throws RangeError when they are not whole images of this shape, do not fit the model's input, or are not finite
 * @throws TypeError when they are neither bytes nor floats
 */
export function checkImages(
  model: tfl.LayersModel,
  images: ImageValues,
  shape: ImageShape,
  where: string,
): void {
  checkImageShape(model, shape, where)
  const pixels = shape[0] * shape[1] * shape[2]
  if (images.length % pixels !== 0) {
    throw new RangeError(
      `${where} must hold a multiple of ${pixels} pixels ([${shape.join(', ')}]), got ${images.length}`,
    )
  }
  checkValues(images, shape, where)
}

function checkLengths(set: ImageSet, where: string): void {
  const pixels = set.count * set.shape[0] * set.shape[1] * set.shape[2]
  if (set.images.length !== pixels) {
    throw new RangeError(
      `${where} must hold ${pixels} pixels (${set.count} images of [${set.shape.join(', ')}]), got ${set.images.length}`,
    )
  }
  if (set.labels.length !== set.count) {
    throw new RangeError(`${where} must hold ${set.count} labels, got ${set.labels.length}`)
  }
}
