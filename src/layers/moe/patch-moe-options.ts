import { checkOptionNames, type OptionNames } from '../../known-options.js'
import { isPositiveInteger, type Size2D, size2D } from '../../shapes.js'
import {
  type ConvolutionOptions,
  convolutionKeys,
  type LayerOptions,
  layerOptionNames,
} from '../standard-options.js'
import type { Border } from './experts/expert-convolution.js'
import type { ExpertSettings } from './experts/kinds.js'
import type { PreActivation } from './experts/pre-activation.js'
import type { Gate, GateScale } from './gates.js'

/** Options of `PatchMoE`; those of tfjs-layers' `conv2d` mean the same. */
export interface PatchMoEOptions extends LayerOptions, ConvolutionOptions {
  /** K >= 1. */
  readonly numExperts: number
  /** L in [1, N], where N = (H/h)(W/w). */
  readonly patchesPerExpert: number
  /** h, w in pixels of the map; must divide H and W. */
  readonly patchSize: number | readonly number[]
  /** Output channels, a multiple of K. Expert s owns channels [s F, (s+1) F) unless `channelsOf` says otherwise. */
  readonly filters: number
  /**
   * The output channels that the experts own, expert by expert, where these are not all: F consecutive ones each, from a
   * multiple of F on. The other channels are 0, as those of experts that were pruned. Default all, side by side.
   */
  readonly channelsOf?: readonly number[]
  /** What the experts are called, K different names; default their numbers. A pruned layer keeps the names of before. */
  readonly expertNames?: readonly string[]
  /** Odd; 'same' convolution, stride 1. Default 3. */
  readonly kernelSize?: number | readonly number[]
  /** What a convolution sees past its patch: zeros, or the true neighbours in the map. Default 'zero'. */
  readonly border?: Border
  /** Default 'softmax-selected' (eq. 4). */
  readonly gate?: Gate
  /** Default 'mean-one': an expert's output keeps the magnitude of a convolution's. */
  readonly gateScale?: GateScale
  /** What an expert does to its kept patches before its convolution. Default 'none'. */
  readonly preActivation?: PreActivation
  /** Default N(0, 1e-4^2), tiny as in eq. (7). */
  readonly routerInitializer?: ConvolutionOptions['kernelInitializer']
  readonly routerRegularizer?: ConvolutionOptions['kernelRegularizer']
  readonly routerConstraint?: ConvolutionOptions['kernelConstraint']
  /** Default true. */
  readonly routerTrainable?: boolean
  /** Of the moving averages of batch-norm-relu experts, in [0, 1). Default 0.99. */
  readonly momentum?: number
  /** Added to variances of batch-norm-relu experts, > 0. Default 1e-3. */
  readonly epsilon?: number
  /**
   * Experts of another kind than convolutions, registered by `registerExpert`, and their settings. Options of
   * convolutions are left out then.
   */
  readonly expert?: ExpertSettings
  /** Seed of the default initializers. */
  readonly seed?: number
}

/** The class name, for errors. */
export const WHERE = 'PatchMoE'

const optionNames = {
  ...layerOptionNames,
  numExperts: true,
  patchesPerExpert: true,
  patchSize: true,
  filters: true,
  channelsOf: true,
  expertNames: true,
  kernelSize: true,
  border: true,
  gate: true,
  gateScale: true,
  preActivation: true,
  routerInitializer: true,
  routerRegularizer: true,
  routerConstraint: true,
  routerTrainable: true,
  momentum: true,
  epsilon: true,
  expert: true,
  seed: true,
  useBias: true,
  activation: true,
  kernelInitializer: true,
  kernelRegularizer: true,
  kernelConstraint: true,
  biasInitializer: true,
  biasRegularizer: true,
  biasConstraint: true,
} as const satisfies OptionNames<PatchMoEOptions>

/** Options of the experts that convolve; `momentum` is the layer's. */
export const convolutionOptions = [
  'kernelSize',
  'border',
  'preActivation',
  'epsilon',
  ...convolutionKeys,
] as const

/** Options of conv2d that are accepted with this value only, since a PatchMoE keeps the size of its map. */
const fixedOptions = {
  strides: 1,
  padding: 'same',
  dilationRate: 1,
  dataFormat: 'channelsLast',
  groups: 1,
} as const

const acceptedNames = {
  ...optionNames,
  strides: false,
  padding: false,
  dilationRate: false,
  dataFormat: false,
  groups: false,
} as const satisfies OptionNames<PatchMoEOptions & typeof fixedOptions>

/**
 * Refuses options that a PatchMoE does not have.
 *
 * @throws TypeError, RangeError as `checkOptionNames`; RangeError for an option of conv2d with another value than the fixed one
 */
export function checkPatchMoEOptions(options: PatchMoEOptions): void {
  checkOptionNames(WHERE, options, acceptedNames)
  for (const [name, fixed] of Object.entries(fixedOptions)) {
    const value = (options as unknown as Record<string, unknown>)[name] ?? fixed
    if ([value].flat().every(side => side === fixed)) continue
    throw new RangeError(`${WHERE}: ${name} must be ${fixed}, got ${value} (it keeps the size of its map)`)
  }
}

/** Reads the filters of all experts together. */
export function multipleOf(filters: number, numExperts: number): number {
  if (isPositiveInteger(filters) && filters % numExperts === 0) return filters
  throw new RangeError(
    `${WHERE}: filters must be a positive multiple of numExperts, got ${filters} (${numExperts} experts)`,
  )
}

/** Reads the size of a kernel. */
export function oddSize(size: number | readonly number[]): Size2D {
  const [height, width] = size2D(size, `${WHERE}: kernelSize`)
  if (height % 2 === 1 && width % 2 === 1) return [height, width]
  throw new RangeError(`${WHERE}: kernelSize must be odd, got ${height}x${width}`)
}

/** Reads a number that must lie in a range. */
export function within(
  value: number,
  name: string,
  allowed: (value: number) => boolean,
  range: string,
): number {
  if (allowed(value)) return value
  throw new RangeError(`${WHERE}: ${name} must be in ${range}, got ${value}`)
}
