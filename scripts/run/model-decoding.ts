import type { ImageDecoding } from '../../src/data/image-decoding.js'
import { cropping } from '../../src/data/photo-decoding.js'
import type { ImageShape } from '../../src/shapes.js'
import { UsageError } from '../terminal/usage-error.js'
import { isTrainedOnFloats, type OpenedModel } from './opened-model.js'

/**
 * How images are decoded for a model: to the size of its input, with the crop and the white level of its run.
 *
 * @throws UsageError when the model does not take images of a known size, with 1 or 3 channels, or was trained on floats
 */
export function decodingOf(opened: OpenedModel): ImageDecoding {
  const { model, directory, config } = opened
  const shape = model.inputs[0]?.shape.slice(1) ?? []
  const [height, width, channels] = shape
  const isFloats = isTrainedOnFloats(opened)
  const isOfPictures = shape.length === 3 && height && width && (channels === 1 || channels === 3)
  if (model.inputs.length !== 1 || !isOfPictures || isFloats) {
    const floats = isFloats
      ? `, of numbers as ${config?.dataset.name} draws them (pmoe evaluate measures it on those)`
      : ''
    throw new UsageError(
      `${directory}: the model must take images of [height, width, 1 or 3], got [${shape.map(side => side ?? 'any').join(', ')}]${floats}`,
    )
  }
  const { crop = 'none', whiteLevel } = config?.dataset ?? {}
  return {
    shape: shape as unknown as ImageShape,
    ...cropping(crop),
    ...(whiteLevel !== undefined && { whiteLevel }),
  }
}
