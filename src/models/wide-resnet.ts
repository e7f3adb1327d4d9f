import * as tfl from '@tensorflow/tfjs-layers'
import { checkOptionNames, type OptionNames } from '../known-options.js'
import { batchNormalization } from '../layers/batch-norm.js'
import { convolution as convolutionLayer } from '../layers/convolution.js'
import { globalAveragePooling2d } from '../layers/global-average-pooling.js'
import { patchGate } from '../layers/moe/patch-gate.js'
import { patchMoE } from '../layers/moe/patch-moe.js'
import type { PatchMoEOptions } from '../layers/moe/patch-moe-options.js'
import { relu } from '../layers/relu.js'
import { residualAdd } from '../layers/residual-add.js'
import { oneOf } from '../layers/validation.js'
import { deriveSeed } from '../random.js'
import { type ImageShape, isPositiveInteger, type Size2D, size2D } from '../shapes.js'
import { checkRecipeMarks, type RecipeMarks } from './recipe-marks.js'

/** How the last block of a wide residual network becomes a mixture of experts. */
export const WIDE_RESNET_VARIANTS = ['sparse', 'drop-in', 'authors'] as const
export type WideResNetVariant = (typeof WIDE_RESNET_VARIANTS)[number]

/** The mixture that takes the place of the last convolution. */
export interface WideResNetPMoEOptions
  extends Pick<
    PatchMoEOptions,
    | 'numExperts'
    | 'patchesPerExpert'
    | 'patchSize'
    | 'kernelSize'
    | 'border'
    | 'gate'
    | 'gateScale'
    | 'preActivation'
    | 'useBias'
    | 'routerInitializer'
    | 'routerTrainable'
  > {}

/** Options of `wideResNet`. */
export interface WideResNetOptions {
  /** Height, width and channels of an image. */
  readonly inputShape: ImageShape
  /** Classes; 1 gives one logit, for two classes told apart by its sign. */
  readonly numClasses: number
  /** Layers with weights on the longest path, 6n+4 for n blocks a group; default 10. */
  readonly depth?: number
  /** Groups have 16, 32 and 64 times this many channels; default 10. */
  readonly widenFactor?: number
  /** The mixture in the last block; without it the network is dense. */
  readonly pmoe?: WideResNetPMoEOptions
  /** What becomes of the last block; default 'sparse'. Only with `pmoe`. */
  readonly variant?: WideResNetVariant
  /** Share of the moving statistics that a training step keeps, in [0, 1); default 0.99. */
  readonly batchNormMomentum?: number
  /** Every initializer's seed is derived from it; default 0. */
  readonly seed?: number
}

/**
 * Builds a wide residual network (Zagoruyko & Komodakis, 2016) or its patch-level mixture of experts
 * (WRN-pMoE; Chowdhury et al., 2023, section 5.2 and figures 17, 18).
 *
 * A 3x3 convolution to 16 channels, three groups of blocks with 16w, 32w, 64w channels of which the second
 * and third start with stride 2, BatchNorm, ReLU, global average pool, dense layer. A block is
 * BatchNorm-ReLU-conv3x3 twice, plus its input, which the first block of a group brings to its channels by a
 * 1x1 convolution. Convolutions are glorot-uniform with bias; BatchNorm has epsilon 1e-3. With `pmoe` the
 * last block of the last group is one of
 *
 * - 'sparse': BatchNorm-ReLU-conv3x3, then `PatchMoE`, without the block's input added, as in figure 18.
 *   Experts normalise what they keep (`preActivation` 'batch-norm-relu') and have no bias.
 * - 'drop-in': the dense block with `PatchMoE` in place of its second convolution. BatchNorm and ReLU stay on
 *   the whole map (`preActivation` 'none') and the experts have a bias: the layer takes the weights of the
 *   convolution it replaces.
 * - 'authors': the masked network of the published code, which multiplies the whole map by each expert's
 *   gates (`PatchGate`, 'softmax-all' and unscaled by default) and runs BatchNorm-ReLU-convolution on all of
 *   it; no input added.
 *
 * What `preActivation` gives to the experts is taken from the map: 'relu' leaves BatchNorm before the layer,
 * 'none' both.
 *
 * @returns a model of (B, H, W, C) float images to (B, numClasses): from the linear layer 'logits', through
 *   the softmax 'probabilities' when `numClasses` exceeds 1
 * @throws RangeError for an option out of range, before anything is allocated
 */
export function wideResNet(options: WideResNetOptions): tfl.LayersModel {
  const plan = planOf(options)
  const input = tfl.input({ shape: [...plan.inputShape], name: 'image' })
  let x = apply(convolution(plan, 'stem', 16, 3), input)
  plan.widths.forEach((filters, group) => {
    for (let block = 0; block < plan.blocksPerGroup; block++) {
      const place = {
        name: `group${group + 1}_block${block + 1}`,
        filters,
        first: block === 0,
        halves: group > 0,
      }
      const isLast = group === plan.widths.length - 1 && block === plan.blocksPerGroup - 1
      x = isLast && plan.pmoe ? mixtureBlock(plan, plan.pmoe, place, x) : residualBlock(plan, place, x)
    }
  })
  x = rectified(normalized(x, 'final_bn', plan), 'final_relu')
  x = apply(globalAveragePooling2d({ name: 'pool' }), x)
  x = apply(
    tfl.layers.dense({ units: plan.numClasses, kernelInitializer: glorot(plan, 'logits'), name: 'logits' }),
    x,
  )
  if (plan.numClasses > 1)
    x = apply(tfl.layers.activation({ activation: 'softmax', name: 'probabilities' }), x)
  return tfl.model({ inputs: input, outputs: x, name: plan.name })
}

const optionNames = {
  kind: true,
  oneLogit: true,
  inputShape: true,
  numClasses: true,
  depth: true,
  widenFactor: true,
  pmoe: true,
  variant: true,
  batchNormMomentum: true,
  seed: true,
} as const satisfies OptionNames<WideResNetOptions & RecipeMarks>

const mixtureOptionNames = {
  numExperts: true,
  patchesPerExpert: true,
  patchSize: true,
  kernelSize: true,
  border: true,
  gate: true,
  gateScale: true,
  preActivation: true,
  useBias: true,
  routerInitializer: true,
  routerTrainable: true,
} as const satisfies OptionNames<WideResNetPMoEOptions>

interface Plan {
  readonly name: string
  readonly inputShape: ImageShape
  readonly numClasses: number
  readonly blocksPerGroup: number
  readonly widths: readonly [number, number, number]
  readonly momentum: number
  readonly seed: number
  readonly pmoe?: Mixture
}

interface Mixture {
  readonly variant: WideResNetVariant
  readonly options: WideResNetPMoEOptions
  readonly patchSize: Size2D
  readonly kernelSize: Size2D
  readonly preActivation: 'none' | 'relu' | 'batch-norm-relu'
}

/**
 * Where a block stands: its layers' prefix, its channels, and whether it is its group's first, which may
 * halve the map.
 */
interface Place {
  readonly name: string
  readonly filters: number
  readonly first: boolean
  readonly halves: boolean
}

function residualBlock(plan: Plan, place: Place, input: tfl.SymbolicTensor): tfl.SymbolicTensor {
  const y = firstConvolution(plan, place, input)
  const z = rectified(normalized(y, `${place.name}_bn2`, plan), `${place.name}_relu2`)
  return plusShortcut(
    plan,
    place,
    input,
    apply(convolution(plan, `${place.name}_conv2`, place.filters, 3), z),
  )
}

function mixtureBlock(
  plan: Plan,
  pmoe: Mixture,
  place: Place,
  input: tfl.SymbolicTensor,
): tfl.SymbolicTensor {
  let x = firstConvolution(plan, place, input)
  if (pmoe.variant === 'authors') return maskedExperts(plan, pmoe, place.filters, x)
  if (pmoe.preActivation !== 'batch-norm-relu') x = normalized(x, `${place.name}_bn2`, plan)
  if (pmoe.preActivation === 'none') x = rectified(x, `${place.name}_relu2`)
  const experts = patchMoE({
    useBias: pmoe.variant === 'drop-in',
    ...pmoe.options,
    filters: place.filters,
    kernelSize: pmoe.kernelSize,
    preActivation: pmoe.preActivation,
    kernelInitializer: glorot(plan, 'patch_moe_kernel'),
    momentum: plan.momentum,
    epsilon,
    seed: deriveSeed(plan.seed, 'patch_moe'),
    name: 'patch_moe',
  })
  const y = apply(experts, x)
  return pmoe.variant === 'drop-in' ? plusShortcut(plan, place, input, y) : y
}

/**
 * Every expert of the published code: gate mask over the whole map, BatchNorm, ReLU, convolution; outputs
 * side by side.
 */
function maskedExperts(
  plan: Plan,
  pmoe: Mixture,
  filters: number,
  x: tfl.SymbolicTensor,
): tfl.SymbolicTensor {
  const { numExperts, patchesPerExpert, patchSize, gate, gateScale, routerInitializer } = pmoe.options
  const outputs = Array.from({ length: numExperts }, (_, s) => {
    const name = `expert${s + 1}`
    const mask = patchGate({
      patchSize,
      patchesPerExpert,
      gate: gate ?? 'softmax-all',
      gateScale: gateScale ?? 'none',
      ...(routerInitializer === undefined ? {} : { routerInitializer }),
      seed: deriveSeed(plan.seed, `${name}_gate`),
      name: `${name}_gate`,
    })
    const kept = rectified(normalized(apply(mask, x), `${name}_bn`, plan), `${name}_relu`)
    return apply(convolution(plan, `${name}_conv`, filters / numExperts, pmoe.kernelSize), kept)
  })
  const [only] = outputs
  return only && outputs.length === 1 ? only : apply(tfl.layers.concatenate({ name: 'experts' }), outputs)
}

function firstConvolution(plan: Plan, place: Place, input: tfl.SymbolicTensor): tfl.SymbolicTensor {
  const x = rectified(normalized(input, `${place.name}_bn1`, plan), `${place.name}_relu1`)
  return apply(convolution(plan, `${place.name}_conv1`, place.filters, 3, strideOf(place)), x)
}

function plusShortcut(
  plan: Plan,
  place: Place,
  input: tfl.SymbolicTensor,
  output: tfl.SymbolicTensor,
): tfl.SymbolicTensor {
  const shortcut = place.first
    ? apply(convolution(plan, `${place.name}_shortcut`, place.filters, 1, strideOf(place)), input)
    : input
  return apply(residualAdd({ name: `${place.name}_add` }), [shortcut, output])
}

function strideOf(place: Place): number {
  return place.first && place.halves ? 2 : 1
}

function convolution(
  plan: Plan,
  name: string,
  filters: number,
  kernelSize: number | Size2D,
  strides = 1,
): tfl.layers.Layer {
  const [height, width] = size2D(kernelSize, 'wideResNet: kernelSize')
  return convolutionLayer({
    filters,
    kernelSize: [height, width],
    strides,
    padding: 'same',
    kernelInitializer: glorot(plan, name),
    name,
  })
}

const epsilon = 1e-3

function normalized(x: tfl.SymbolicTensor, name: string, plan: Plan): tfl.SymbolicTensor {
  return apply(batchNormalization({ momentum: plan.momentum, epsilon, name }), x)
}

function rectified(x: tfl.SymbolicTensor, name: string): tfl.SymbolicTensor {
  return apply(relu({ name }), x)
}

function glorot(plan: Plan, name: string) {
  return tfl.initializers.glorotUniform({ seed: deriveSeed(plan.seed, name) })
}

function apply(layer: tfl.layers.Layer, x: tfl.SymbolicTensor | tfl.SymbolicTensor[]): tfl.SymbolicTensor {
  return layer.apply(x) as tfl.SymbolicTensor
}

function planOf(options: WideResNetOptions): Plan {
  checkOptionNames('wideResNet', options, optionNames)
  checkRecipeMarks('wideResNet', 'wide-resnet', options)
  if (options.pmoe) checkOptionNames('wideResNet: pmoe', options.pmoe, mixtureOptionNames)
  const { inputShape, numClasses, depth = 10, widenFactor = 10, batchNormMomentum = 0.99, seed = 0 } = options
  if (inputShape.length !== 3 || !inputShape.every(isPositiveInteger)) {
    throw new RangeError(
      `wideResNet: inputShape must be [height, width, channels] of positive integers, got ${JSON.stringify(inputShape)}`,
    )
  }
  requirePositiveInteger('numClasses', numClasses)
  requirePositiveInteger('widenFactor', widenFactor)
  if (!isPositiveInteger(depth) || depth < 10 || (depth - 4) % 6 !== 0) {
    throw new RangeError(`wideResNet: depth must be 6n+4 (10, 16, 22, ...), got ${depth}`)
  }
  if (!(batchNormMomentum >= 0 && batchNormMomentum < 1)) {
    throw new RangeError(`wideResNet: batchNormMomentum must be in [0, 1), got ${batchNormMomentum}`)
  }
  const widths = [16 * widenFactor, 32 * widenFactor, 64 * widenFactor] as const
  const pmoe = mixtureOf(options, inputShape, widths[2])
  return {
    name: `wide_resnet_${depth}_${widenFactor}${pmoe ? '_pmoe' : ''}`,
    inputShape,
    numClasses,
    blocksPerGroup: (depth - 4) / 6,
    widths,
    momentum: batchNormMomentum,
    seed,
    ...(pmoe ? { pmoe } : {}),
  }
}

function mixtureOf(
  { pmoe, variant: asked }: WideResNetOptions,
  inputShape: ImageShape,
  filters: number,
): Mixture | undefined {
  if (!pmoe) {
    if (asked === undefined) return undefined
    throw new RangeError(`wideResNet: variant must be left out without pmoe, got ${JSON.stringify(asked)}`)
  }
  const variant = oneOf(WIDE_RESNET_VARIANTS, asked ?? 'sparse', 'wideResNet: variant')
  if (variant === 'authors') refuseSparseOptions(pmoe)
  const patchSize = checkedPatches(pmoe, inputShape)
  requirePositiveInteger('pmoe.numExperts', pmoe.numExperts)
  if (filters % pmoe.numExperts !== 0) {
    throw new RangeError(
      `wideResNet: pmoe.numExperts must divide the ${filters} channels of the last group, got ${pmoe.numExperts}`,
    )
  }
  const pixelPatches = patchSize[0] === 1 && patchSize[1] === 1
  return {
    variant,
    options: pmoe,
    patchSize,
    kernelSize: checkedKernel(pmoe.kernelSize ?? (pixelPatches ? 1 : 3)),
    preActivation: pmoe.preActivation ?? (variant === 'sparse' ? 'batch-norm-relu' : 'none'),
  }
}

/** The masked network fixes these: it convolves whole maps, with bias, after BatchNorm and ReLU. */
function refuseSparseOptions(pmoe: WideResNetPMoEOptions): void {
  for (const name of ['border', 'preActivation', 'useBias', 'routerTrainable'] as const) {
    if (pmoe[name] === undefined) continue
    throw new RangeError(
      `wideResNet: pmoe.${name} must be left out of variant 'authors', got ${JSON.stringify(pmoe[name])}`,
    )
  }
}

function checkedKernel(size: number | readonly number[]): Size2D {
  const kernel = size2D(size, 'wideResNet: pmoe.kernelSize')
  if (kernel.some(side => side % 2 === 0)) {
    throw new RangeError(`wideResNet: pmoe.kernelSize must be odd, got ${JSON.stringify(size)}`)
  }
  return kernel
}

function checkedPatches(pmoe: WideResNetPMoEOptions, inputShape: ImageShape): Size2D {
  const [patchHeight, patchWidth] = size2D(pmoe.patchSize, 'wideResNet: pmoe.patchSize')
  // Two convolutions of stride 2 with 'same' padding.
  const [height, width] = [Math.ceil(inputShape[0] / 4), Math.ceil(inputShape[1] / 4)]
  const context = `(${height}x${width} last map of ${inputShape[0]}x${inputShape[1]} images)`
  if (height % patchHeight !== 0 || width % patchWidth !== 0) {
    throw new RangeError(
      `wideResNet: pmoe.patchSize must divide ${height}x${width}, got ${patchHeight}x${patchWidth} ${context}`,
    )
  }
  const patches = (height / patchHeight) * (width / patchWidth)
  if (!isPositiveInteger(pmoe.patchesPerExpert) || pmoe.patchesPerExpert > patches) {
    throw new RangeError(
      `wideResNet: pmoe.patchesPerExpert must be an integer in [1, ${patches}], got ${pmoe.patchesPerExpert} ${context}`,
    )
  }
  return [patchHeight, patchWidth]
}

function requirePositiveInteger(name: string, value: number): void {
  if (!isPositiveInteger(value)) {
    throw new RangeError(`wideResNet: ${name} must be a positive integer, got ${value}`)
  }
}
