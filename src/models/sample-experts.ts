import * as tfl from '@tensorflow/tfjs-layers'
import { checkOptionNames, type OptionNames } from '../known-options.js'
import type { NetworkFactory } from '../layers/moe/network-experts.js'
import { type SampleExpertsOptions, sampleExperts } from '../layers/moe/sample-experts.js'
import { positiveInteger } from '../layers/validation.js'
import { deriveSeed } from '../random.js'
import type { ImageShape } from '../shapes.js'
import { classifier } from './classifier.js'
import { checkRecipeMarks, type RecipeMarks } from './recipe-marks.js'

/** Options of {@link sampleExpertsModel}; see `SampleExperts` for those it passes on. */
export interface SampleExpertsModelOptions
  extends Pick<
    SampleExpertsOptions,
    | 'numExperts'
    | 'expertsPerSample'
    | 'gate'
    | 'gateNoise'
    | 'routingNoise'
    | 'routerInitializer'
    | 'routerTrainable'
    | 'dispatch'
    | 'expertNames'
  > {
  /** H, W, C of an image, float32 in [0, 1]. */
  readonly inputShape: ImageShape
  /** 1 gives one logit (its sign is the class), more a softmax. */
  readonly numClasses: number
  /** h, w of the router's patches in pixels; must divide H and W. Default 4. */
  readonly patchSize?: SampleExpertsOptions['patchSize']
  /** Whether the router adds a bias at each patch. Default true, as published. */
  readonly routerBias?: boolean
  /** Filters of an expert's first convolution, at least 1; the second and third have twice and four times as many. Default 16. */
  readonly filters?: number
  /** Other networks as experts: (B,H,W,C) -> (B,numClasses) logits; `filters` is left out then. */
  readonly expert?: NetworkFactory
  /** Seed of all initializers and of the routing noise; default 0. */
  readonly seed?: number
}

const WHERE = 'sampleExpertsModel'

const optionNames = {
  kind: true,
  oneLogit: true,
  inputShape: true,
  numClasses: true,
  patchSize: true,
  routerBias: true,
  filters: true,
  expert: true,
  seed: true,
  numExperts: true,
  expertsPerSample: true,
  gate: true,
  gateNoise: true,
  routingNoise: true,
  routerInitializer: true,
  routerTrainable: true,
  dispatch: true,
  expertNames: true,
} as const satisfies OptionNames<SampleExpertsModelOptions & RecipeMarks>

/**
 * The sample-level mixture for images (Chen et al., NeurIPS 2022): a router on patches of the image sends it to one of
 * several small convolutional networks. With `numExperts: 1` and gate 'uniform' it is one of these networks alone.
 *
 * An expert: three convolutions of 3x3 and stride 2 with ReLU, of `filters`, twice and four times as many filters, and a
 * dense layer. The gate is 'softmax', with the routing noise of training in it, as in the published code.
 *
 * @returns a model from (B,H,W,C) to (B,numClasses): one logit, or the probabilities of each class
 * @throws RangeError for options out of their range
 */
export function sampleExpertsModel(options: SampleExpertsModelOptions): tfl.LayersModel {
  checkOptionNames(WHERE, options, optionNames)
  checkRecipeMarks(WHERE, 'sample-networks', options)
  const {
    inputShape,
    numClasses,
    filters,
    expert,
    seed = 0,
    kind: _,
    oneLogit: __,
    ...layer
  }: SampleExpertsModelOptions & RecipeMarks = options
  positiveInteger(numClasses, `${WHERE}: numClasses`)
  if (expert && filters !== undefined) {
    throw new RangeError(`${WHERE}: filters must be left out with an expert of one's own, got ${filters}`)
  }
  const width = positiveInteger(filters ?? 16, `${WHERE}: filters`)
  const input = tfl.input({ shape: [...inputShape] })
  const logits = sampleExperts({
    patchSize: 4,
    routerBias: true,
    ...(layer.gate === undefined || layer.gate === 'softmax' ? { gateNoise: 'included' } : {}),
    ...layer,
    expert: expert ?? ((shape, k) => smallNetwork(shape, numClasses, width, deriveSeed(seed, `expert ${k}`))),
    seed: deriveSeed(seed, 'sample-experts'),
    name: 'experts',
  }).apply(input) as tfl.SymbolicTensor
  return classifier(input, logits, 'sample_networks')
}

function smallNetwork(
  inputShape: readonly number[],
  outputs: number,
  filters: number,
  seed: number,
): tfl.LayersModel {
  const initializer = (name: string) => tfl.initializers.heNormal({ seed: deriveSeed(seed, name) })
  const convolution = (name: string, multiple: number) =>
    tfl.layers.conv2d({
      name,
      filters: multiple * filters,
      kernelSize: 3,
      strides: 2,
      padding: 'same',
      activation: 'relu',
      kernelInitializer: initializer(name),
    })
  const logits = tfl.layers.dense({
    name: 'logits',
    units: outputs,
    kernelInitializer: tfl.initializers.glorotUniform({ seed: deriveSeed(seed, 'logits') }),
  })
  const layers = [
    convolution('conv1', 1),
    convolution('conv2', 2),
    convolution('conv3', 4),
    tfl.layers.flatten({ name: 'flat' }),
    logits,
  ]
  const input = tfl.input({ shape: [...inputShape], name: 'image' })
  const output = layers.reduce((x, layer) => layer.apply(x) as tfl.SymbolicTensor, input)
  return tfl.model({ inputs: input, outputs: output, name: 'expert' })
}
