import type * as tfl from '@tensorflow/tfjs-layers'
import { deriveSeed } from '../random.js'
import type { ImageShape } from '../shapes.js'
import { classifier } from './classifier.js'
import { denseHead, smallExpert } from './routed-model.js'

/** Options of {@link wholeImageModel}. */
export interface WholeImageModelOptions {
  /** Height, width and channels of an image. */
  readonly imageShape: ImageShape
  /** 1 gives one logit, more a softmax. */
  readonly numClasses: number
  /** Seed of all initializers; default 0. */
  readonly seed?: number
}

/**
 * What a `routedModel` is compared with: the network that its experts are unless others are given, on the whole of an image, with
 * the same head.
 *
 * @returns a model from (B,H,W,C) float32 in [0, 1] to classes; its last map is the output of layer `relu3`
 */
export function wholeImageModel({
  imageShape,
  numClasses,
  seed = 0,
}: WholeImageModelOptions): tfl.LayersModel {
  const network = smallExpert(imageShape, deriveSeed(seed, 'expert 0'))
  const [image, features] = [network.inputs[0], network.outputs[0]] as [
    tfl.SymbolicTensor,
    tfl.SymbolicTensor,
  ]
  return classifier(image, denseHead(features, numClasses, deriveSeed(seed, 'logits')), 'whole-image')
}
