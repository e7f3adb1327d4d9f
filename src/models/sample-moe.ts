import * as tfl from '@tensorflow/tfjs-layers'
import { checkOptionNames, type OptionNames } from '../known-options.js'
import { sampleMoE } from '../layers/moe/sample-moe.js'
import type { SampleMoEOptions } from '../layers/moe/sample-moe-options.js'
import { fanInUniform } from '../layers/standard-options.js'
import { positiveInteger } from '../layers/validation.js'
import { deriveSeed } from '../random.js'
import { type ImageShape, size2D } from '../shapes.js'
import { classifier } from './classifier.js'
import { checkRecipeMarks, type RecipeMarks } from './recipe-marks.js'

/** Options of {@link sampleMoEModel}; see `SampleMoE` for those it passes on. */
export interface SampleMoEModelOptions
  extends Pick<
    SampleMoEOptions,
    | 'numExperts'
    | 'patchSize'
    | 'filtersPerOutput'
    | 'activation'
    | 'expertsPerSample'
    | 'gate'
    | 'gateNoise'
    | 'routingNoise'
    | 'useBias'
    | 'routerInitializer'
    | 'kernelInitializer'
    | 'biasInitializer'
    | 'routerTrainable'
    | 'expertNames'
  > {
  /** H, W, C of a sample. */
  readonly inputShape: ImageShape
  /** 1 gives one logit (its sign is the class), more a softmax. */
  readonly numClasses: number
  /**
   * s > 0: kernel and bias start as U(-s / sqrt(h w C), s / sqrt(h w C)) where they have no initializer of their own. Default
   * 0.001; 1 is PyTorch's default.
   */
  readonly initialScale?: number
  /** Seed of all initializers; default 0. */
  readonly seed?: number
}

const WHERE = 'sampleMoEModel'

const optionNames = {
  kind: true,
  oneLogit: true,
  inputShape: true,
  numClasses: true,
  initialScale: true,
  seed: true,
  numExperts: true,
  patchSize: true,
  filtersPerOutput: true,
  activation: true,
  expertsPerSample: true,
  gate: true,
  gateNoise: true,
  routingNoise: true,
  useBias: true,
  routerInitializer: true,
  kernelInitializer: true,
  biasInitializer: true,
  routerTrainable: true,
  expertNames: true,
} as const satisfies OptionNames<SampleMoEModelOptions & RecipeMarks>

/**
 * The network of the theory of sample-level mixtures (Chen et al., NeurIPS 2022): one `SampleMoE` over the patches of a
 * sample. With `numExperts: 1` and gate 'uniform' it is the single model that the mixture is compared with.
 *
 * @returns a model from (B,H,W,C) to (B,numClasses): one logit, or the probabilities of each class
 * @throws RangeError for options out of their range
 */
export function sampleMoEModel(options: SampleMoEModelOptions): tfl.LayersModel {
  checkOptionNames(WHERE, options, optionNames)
  checkRecipeMarks(WHERE, 'sample-moe', options)
  const {
    inputShape,
    numClasses,
    initialScale = 1e-3,
    seed = 0,
    kind: _,
    oneLogit: __,
    ...experts
  }: SampleMoEModelOptions & RecipeMarks = options
  positiveInteger(numClasses, `${WHERE}: numClasses`)
  if (!(initialScale > 0 && initialScale < Infinity)) {
    throw new RangeError(`${WHERE}: initialScale must be in (0, Infinity), got ${initialScale}`)
  }
  const [height, width] = size2D(experts.patchSize, `${WHERE}: patchSize`)
  const initializer = (purpose: string) =>
    fanInUniform(initialScale, height * width * inputShape[2], deriveSeed(seed, purpose))
  const layer = sampleMoE({
    kernelInitializer: initializer('sample-moe kernel'),
    biasInitializer: initializer('sample-moe bias'),
    ...experts,
    outputs: numClasses,
    name: 'logits',
    seed: deriveSeed(seed, 'sample-moe'),
  })
  const input = tfl.input({ shape: [...inputShape] })
  const logits = layer.apply(input) as tfl.SymbolicTensor
  return classifier(input, logits, 'sample_moe')
}
