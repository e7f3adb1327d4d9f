import type * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import type { OptionNames } from '../known-options.js'
import { deriveSeed } from '../random.js'
import type { LayerActivation } from './activations.js'

type ConvolutionArgs = Parameters<typeof tfl.layers.conv2d>[0]

/** What every tfjs layer accepts. */
export interface LayerOptions {
  readonly name?: string
  readonly trainable?: boolean
  readonly inputShape?: tfl.Shape
  readonly batchInputShape?: tfl.Shape
  readonly batchSize?: number
}

/** Names of the options that tfjs's own `Layer` reads, and `customObjects`, which loading a model adds to them. */
export const layerOptionNames = {
  name: true,
  trainable: true,
  inputShape: true,
  batchInputShape: true,
  batchSize: true,
  dtype: true,
  weights: true,
  inputDType: false,
  customObjects: false,
} as const satisfies OptionNames<
  NonNullable<ConstructorParameters<typeof tfl.layers.Layer>[0]> & { customObjects: unknown }
>

/** The options that a convolution of ours shares with tfjs-layers' `conv2d`; they mean and accept the same. */
export interface ConvolutionOptions {
  readonly useBias?: boolean
  readonly activation?: ConvolutionArgs['activation']
  readonly kernelInitializer?: ConvolutionArgs['kernelInitializer']
  readonly kernelRegularizer?: ConvolutionArgs['kernelRegularizer']
  readonly kernelConstraint?: ConvolutionArgs['kernelConstraint']
  readonly biasInitializer?: ConvolutionArgs['biasInitializer']
  readonly biasRegularizer?: ConvolutionArgs['biasRegularizer']
  readonly biasConstraint?: ConvolutionArgs['biasConstraint']
}

/** Initializer, regularizer and constraint of one weight. */
export interface WeightOptions {
  readonly initializer?: Initializer
  readonly regularizer?: Regularizer
  readonly constraint?: Constraint
}
type Initializer = ReturnType<typeof tfl.initializers.zeros>
type Regularizer = ReturnType<typeof tfl.regularizers.l2>
type Constraint = ReturnType<typeof tfl.constraints.nonNeg>

/** {@link ConvolutionOptions} as objects. */
export interface ParsedConvolution extends WeightOptions {
  readonly bias: WeightOptions
  readonly activation: LayerActivation
  /** The same options in the form that `getConfig` returns. */
  readonly config: tf.serialization.ConfigDict
}

/** The options of a convolution that `getConfig` returns as a Conv2D does. */
export const convolutionKeys = [
  'useBias',
  'activation',
  'kernelInitializer',
  'kernelRegularizer',
  'kernelConstraint',
  'biasInitializer',
  'biasRegularizer',
  'biasConstraint',
] as const

/**
 * Reads convolution options given as names, configurations or objects.
 *
 * tfjs-layers keeps its own parsers private, so a Conv2D is asked to parse them: names, spellings and errors are then
 * the ones that its users know.
 *
 * @param seed of the default kernel initializer (glorot-uniform)
 */
export function parseConvolution(options: ConvolutionOptions, seed: number | undefined): ParsedConvolution {
  const conv2dOptions: Record<string, unknown> = { useBias: options.useBias ?? false }
  for (const key of convolutionKeys)
    if (options[key] !== undefined && options[key] !== null) conv2dOptions[key] = options[key]
  conv2dOptions.kernelInitializer ??= tfl.initializers.glorotUniform(seed === undefined ? {} : { seed })
  const parser = tfl.layers.conv2d({
    name: 'options',
    filters: 1,
    kernelSize: 1,
    ...conv2dOptions,
  }) as unknown as {
    readonly kernelInitializer: Initializer
    readonly kernelRegularizer: Regularizer
    readonly kernelConstraint: Constraint
    readonly biasInitializer: Initializer
    readonly biasRegularizer: Regularizer
    readonly biasConstraint: Constraint
    readonly activation: LayerActivation
    getConfig(): tf.serialization.ConfigDict
  }
  return {
    initializer: parser.kernelInitializer,
    regularizer: parser.kernelRegularizer,
    constraint: parser.kernelConstraint,
    bias: {
      initializer: parser.biasInitializer,
      regularizer: parser.biasRegularizer,
      constraint: parser.biasConstraint,
    },
    activation: parser.activation,
    config: parser.getConfig(),
  }
}

/** The shared options as `getConfig` returns them. */
export function serializedConvolution(parsed: ParsedConvolution): tf.serialization.ConfigDict {
  return Object.fromEntries(convolutionKeys.map(key => [key, parsed.config[key] ?? null]))
}

/** N(0, 1e-4^2), the small start of routers (eq. 7). */
export function tinyNormal(seed: number | undefined): Initializer {
  return tfl.initializers.randomNormal({ mean: 0, stddev: 1e-4, ...(seed === undefined ? {} : { seed }) })
}

/**
 * U(-scale / sqrt(fanIn), scale / sqrt(fanIn)).
 *
 * @param fanIn numbers that a weight's output is summed over
 */
export function fanInUniform(scale: number, fanIn: number, seed: number | undefined): Initializer {
  const bound = scale / Math.sqrt(fanIn)
  return tfl.initializers.randomUniform({
    minval: -bound,
    maxval: bound,
    ...(seed === undefined ? {} : { seed }),
  })
}

/** The seed of a layer's router, which differs from the seed of its kernel. */
export function routerSeed(seed: number | undefined): number | undefined {
  return seed === undefined ? undefined : deriveSeed(seed, 'router')
}
