import { checkOptionNames, type OptionNames } from '../../known-options.js'
import type { Size2D } from '../../shapes.js'
import { size2D } from '../../shapes.js'
import { type ConvolutionOptions, type LayerOptions, layerOptionNames } from '../standard-options.js'
import { oneOf, positiveInteger } from '../validation.js'
import { expertNamesOf } from './expert-names.js'
import { BANK_ACTIVATIONS, type BankActivation } from './filter-banks.js'
import {
  type GateNoise,
  type SampleGate,
  type SampleRoutingSettings,
  sampleRoutingSettings,
} from './sample-routing.js'

/** Options of `SampleMoE`. */
export interface SampleMoEOptions extends LayerOptions {
  /** M >= 1. */
  readonly numExperts: number
  /** Outputs of the layer, at least 1. */
  readonly outputs: number
  /** J, filters that are summed for each output, at least 1. Default 8. */
  readonly filtersPerOutput?: number
  /** h, w in pixels; must divide H and W. */
  readonly patchSize: number | readonly number[]
  /** What a filter does to its inner product z: z^3, z or max(z, 0). Default 'cubic'. */
  readonly activation?: BankActivation
  /** k in [1, M], experts that each sample chooses. Default 1. */
  readonly expertsPerSample?: number
  /** What multiplies the output of a chosen expert. Default 'softmax'. */
  readonly gate?: SampleGate
  /**
   * Whether the noise of training is in the gates as well. Default 'selection-only'; gate 'raw' has 'included' only, and
   * gate 'uniform' 'selection-only' only.
   */
  readonly gateNoise?: GateNoise
  /** a >= 0: in training, numbers of U[0, a) are added to the scores, one for each sample and expert. Default 1. */
  readonly routingNoise?: number
  /** Whether filters have a bias. Default true. */
  readonly useBias?: boolean
  /** Default zeros. */
  readonly routerInitializer?: ConvolutionOptions['kernelInitializer']
  /** Default U(-0.001 / sqrt(h w C), 0.001 / sqrt(h w C)). */
  readonly kernelInitializer?: ConvolutionOptions['kernelInitializer']
  /** Default as that of the kernel. */
  readonly biasInitializer?: ConvolutionOptions['biasInitializer']
  /** Default true. */
  readonly routerTrainable?: boolean
  /** Names of the experts, for people; without it '0', '1', ... Pruned networks keep the names of before. */
  readonly expertNames?: readonly string[]
  /** Experts in [0, M) without weights, ascending: samples may choose them and get 0. Default none. */
  readonly prunedExperts?: readonly number[]
  /** Seed of the default initializers, and of the noise where no run seeds it. */
  readonly seed?: number
}

/** The class name, for errors. */
export const WHERE = 'SampleMoE'

const optionNames = {
  ...layerOptionNames,
  numExperts: true,
  outputs: true,
  filtersPerOutput: true,
  patchSize: true,
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
  prunedExperts: true,
  seed: true,
} as const satisfies OptionNames<SampleMoEOptions>

/** {@link SampleMoEOptions} with defaults, checked; initializers apart. */
export interface SampleMoESettings extends SampleRoutingSettings {
  readonly numExperts: number
  readonly outputs: number
  readonly filtersPerOutput: number
  readonly patchSize: Size2D
  readonly activation: BankActivation
  readonly useBias: boolean
  readonly routerTrainable: boolean
  readonly expertNames: readonly string[]
  readonly prunedExperts: readonly number[]
  readonly seed: number | undefined
}

/**
 * Reads the options; null counts as left out, as configurations store it.
 *
 * @throws TypeError, RangeError for options that do not exist or values out of their range
 */
export function sampleMoESettings(options: SampleMoEOptions): SampleMoESettings {
  checkOptionNames(WHERE, options, optionNames)
  const numExperts = positiveInteger(options.numExperts, `${WHERE}: numExperts`)
  return {
    numExperts,
    outputs: positiveInteger(options.outputs, `${WHERE}: outputs`),
    filtersPerOutput: positiveInteger(options.filtersPerOutput ?? 8, `${WHERE}: filtersPerOutput`),
    patchSize: size2D(options.patchSize, `${WHERE}: patchSize`),
    activation: oneOf(BANK_ACTIVATIONS, options.activation ?? 'cubic', `${WHERE}: activation`),
    ...sampleRoutingSettings(options, numExperts, WHERE),
    useBias: options.useBias ?? true,
    routerTrainable: options.routerTrainable ?? true,
    expertNames: expertNamesOf(options.expertNames, numExperts, WHERE),
    prunedExperts: prunedOf(options.prunedExperts ?? [], numExperts),
    seed: options.seed ?? undefined,
  }
}

function prunedOf(experts: readonly number[], numExperts: number): readonly number[] {
  const isList =
    Array.isArray(experts) &&
    experts.every(
      (expert, i) =>
        Number.isInteger(expert) && expert < numExperts && expert >= 0 && expert > (experts[i - 1] ?? -1),
    )
  if (isList && experts.length < numExperts) return [...experts]
  throw new RangeError(
    `${WHERE}: prunedExperts must be different experts in [0, ${numExperts}), ascending and not all of them, ` +
      `got ${JSON.stringify(experts)}`,
  )
}
