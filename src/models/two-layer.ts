import * as tfl from '@tensorflow/tfjs-layers'
import { checkOptionNames, type OptionNames } from '../known-options.js'
import { type TwoLayerExpertsOptions, twoLayerExperts } from '../layers/moe/two-layer-experts.js'
import { positiveInteger } from '../layers/validation.js'
import { deriveSeed } from '../random.js'
import type { ImageShape } from '../shapes.js'
import { classifier } from './classifier.js'
import { checkRecipeMarks, type RecipeMarks } from './recipe-marks.js'

/** Options of {@link twoLayerPatchModel}; see `TwoLayerExperts` for those it passes on. */
export interface TwoLayerPatchModelOptions
  extends Pick<
    TwoLayerExpertsOptions,
    | 'numExperts'
    | 'patchesPerExpert'
    | 'patchSize'
    | 'hiddenUnits'
    | 'gate'
    | 'normalizer'
    | 'routerInitializer'
    | 'kernelInitializer'
    | 'headInitializer'
    | 'routerTrainable'
  > {
  /** H, W, C of an image, float32 in [0, 1]. */
  readonly inputShape: ImageShape
  /** 1 gives one logit (its sign is the class), more a softmax. */
  readonly numClasses: number
  /** Seed of all initializers; default 0. */
  readonly seed?: number
}

const optionNames = {
  kind: true,
  oneLogit: true,
  inputShape: true,
  numClasses: true,
  seed: true,
  numExperts: true,
  patchesPerExpert: true,
  patchSize: true,
  hiddenUnits: true,
  gate: true,
  normalizer: true,
  routerInitializer: true,
  kernelInitializer: true,
  headInitializer: true,
  routerTrainable: true,
} as const satisfies OptionNames<TwoLayerPatchModelOptions & RecipeMarks>

/**
 * The two-layer patch model of eq. (1), and with `numExperts: 1`, L = N and gate 'uniform' its CNN counterpart, eq. (5).
 *
 * @returns a model from (B,H,W,C) to (B,numClasses): one logit, or the probabilities of each class
 * @throws RangeError for options out of their range
 */
export function twoLayerPatchModel(options: TwoLayerPatchModelOptions): tfl.LayersModel {
  checkOptionNames('twoLayerPatchModel', options, optionNames)
  checkRecipeMarks('twoLayerPatchModel', 'two-layer', options)
  const {
    inputShape,
    numClasses,
    seed = 0,
    kind: _,
    oneLogit: __,
    ...experts
  }: TwoLayerPatchModelOptions & RecipeMarks = options
  positiveInteger(numClasses, 'twoLayerPatchModel: numClasses')
  const layer = twoLayerExperts({
    ...experts,
    outputs: numClasses,
    name: 'logits',
    seed: deriveSeed(seed, 'two-layer'),
  })
  const input = tfl.input({ shape: [...inputShape] })
  const logits = layer.apply(input) as tfl.SymbolicTensor
  return classifier(input, logits, 'two_layer')
}
