import * as tfl from '@tensorflow/tfjs-layers'
import { deriveSeed } from '../random.js'
import type { ImageShape } from '../shapes.js'
import { classifier } from './classifier.js'
import { denseHead } from './routed-model.js'
import { smallExpert } from './small-expert.js'

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
 * What a `routedModel` is compared with: the convolutions that its experts have unless others are given, on the whole of an image,
 * the maximum over their last map, and the same head.
 *
 * The mean in the place of the maximum dilutes small things: it learned much less (docs/large-images.md).
 *
 * @returns a model from (B,H,W,C) float32 in [0, 1] to classes; its last map is the output of layer `relu3`
 */
export function wholeImageModel({
  imageShape,
  numClasses,
  seed = 0,
}: WholeImageModelOptions): tfl.LayersModel {
  const network = smallExpert(imageShape, deriveSeed(seed, 'expert 0'))
  const map = network.getLayer('relu3').output as tfl.SymbolicTensor
  const features = tfl.layers.globalMaxPooling2d({ name: 'maximum' }).apply(map) as tfl.SymbolicTensor
  const logits = denseHead(features, numClasses, deriveSeed(seed, 'logits'))
  return classifier(network.inputs[0] as tfl.SymbolicTensor, logits, 'whole-image')
}
