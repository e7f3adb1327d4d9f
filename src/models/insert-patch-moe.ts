import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { checkOptionNames, type OptionNames } from '../known-options.js'
import { placedLayers } from '../layers/layer-paths.js'
import { PatchMoE } from '../layers/moe/patch-moe.js'
import type { PatchMoEOptions } from '../layers/moe/patch-moe-options.js'
import { convolutionKeys } from '../layers/standard-options.js'
import { deriveSeed } from '../random.js'
import { size2D } from '../shapes.js'
import { checkRounding, compareOutputs, type ModelDifference, sampleInputs } from './compare-models.js'
import { disposeModel } from './dispose-model.js'
import {
  type PatchMoEPlan,
  type PlannedConvolution,
  type PlannedMixture,
  planPatchMoE,
} from './plan-patch-moe.js'
import { type LayerChange, type RebuildOptions, rebuildModel } from './rebuild.js'

/** Options of {@link insertPatchMoE}; those of `PatchMoE` mean the same. */
export interface InsertPatchMoEOptions
  extends Pick<
    PatchMoEOptions,
    'numExperts' | 'patchSize' | 'border' | 'gate' | 'gateScale' | 'routerInitializer' | 'routerTrainable'
  > {
  /** Path of the convolution, `conv5` or `backbone/conv5`. Default the last that fits. */
  readonly layer?: string
  /** L in [1, N]. Default N: every expert keeps every patch. */
  readonly patchesPerExpert?: number
  /** Seed of the router and of the images that are compared. Default 0. */
  readonly seed?: number
  /** Inputs for comparing the models, one tensor per input. Default two samples of uniform numbers in [0, 1). */
  readonly sample?: tf.Tensor | tf.Tensor[]
}

/** A model whose convolution has become a mixture. */
export interface InsertedPatchMoE {
  /** The new model; it shares nothing with the old one, and the caller disposes it. */
  readonly model: tfl.LayersModel
  /** The mixture in it. */
  readonly layer: PatchMoE
  /** The convolution, and the mixture's costs. */
  readonly replaced: PlannedConvolution & { readonly mixture: PlannedMixture }
  /**
   * Greatest difference between the outputs of the two models on the sample, while every patch is kept, gates are uniform
   * and borders true: only rounding.
   */
  readonly difference: number
  /** The same with the mixture as requested: what fewer patches and other gates change before any training. */
  readonly change: number
  /** Greatest magnitude of the old model's output numbers on the sample. */
  readonly magnitude: number
}

const WHERE = 'insertPatchMoE'

const optionNames = {
  layer: true,
  numExperts: true,
  patchesPerExpert: true,
  patchSize: true,
  border: true,
  gate: true,
  gateScale: true,
  routerInitializer: true,
  routerTrainable: true,
  seed: true,
  sample: true,
} as const satisfies OptionNames<InsertPatchMoEOptions>

const EXACT = `${WHERE}: the new model must equal the old one where every patch is kept`

/** Root mean square of the router's first weights: they order the patches, and are so small that gates stay near 1. */
const ROUTER_SIZE = 1e-5

/**
 * Puts a `PatchMoE` in the place of a convolution of a trained model: exact upcycling.
 *
 * Expert s takes the filters [s F, (s+1) F) of the kernel, and their biases, activation, regularizers and constraints.
 * With L = N, uniform gates and true borders the new model computes what the old one does, to rounding; the function
 * runs both and reports the difference. Then L, gates and border become as requested: border 'halo' and gate
 * 'softmax-selected' with scale 'mean-one' unless given, so that gates start close to 1 and the routers learn. What
 * that changes on the sample is reported too.
 *
 * Unless `routerInitializer` is given, router s starts in the direction of its expert's mean response,
 * w_s ~ sum over taps and mean over filters of the kernel, with a root mean square of 1e-5: the patches that come first
 * are those to which the expert responds most.
 *
 * Works for sequential, functional and nested models with any number of inputs and outputs. Layers shared within the
 * model stay shared, and a shared convolution becomes a shared mixture where its maps have one size.
 *
 * @throws RangeError when no convolution fits (the error lists each with its reason), the requested one does not, an
 * option does not suit it, or a layer belongs to two models
 * @throws Error when the model cannot be rebuilt, or the rebuilt one computes something else
 */
export async function insertPatchMoE(
  model: tfl.LayersModel,
  options: InsertPatchMoEOptions,
): Promise<InsertedPatchMoE> {
  checkOptionNames(WHERE, options, optionNames)
  const replaced = chosenConvolution(model, options)
  const { path } = replaced
  const sample = sampleInputs(model, options, WHERE)
  const models: tfl.LayersModel[] = []
  try {
    const exact = replacing(model, path, exactOptions(options, replaced.mixture), { compile: false })
    models.push(exact)
    const { difference, magnitude } = await compare(model, exact, sample.inputs)
    checkRounding({ difference, magnitude }, EXACT, `layer ${path}`)
    const requested = replacing(model, path, requestedOptions(options, replaced.mixture))
    models.push(requested)
    const layer = placedLayers(requested).find(placed => placed.path === path)?.layer as PatchMoE
    if (options.routerInitializer === undefined) startRouter(layer)
    const { difference: change } = await compare(model, requested, sample.inputs)
    models.pop()
    return { model: requested, layer, replaced, difference, change, magnitude }
  } finally {
    for (const unused of models) disposeModel(unused)
    sample.dispose()
  }
}

function chosenConvolution(model: tfl.LayersModel, options: InsertPatchMoEOptions): PlannedReplacement {
  const { numExperts, patchSize } = options
  const plan = planPatchMoE(model, { numExperts, patchSize, patchesPerExpert: options.patchesPerExpert ?? 1 })
  const path = options.layer ?? plan.chosen
  const convolution = plan.convolutions.find(planned => planned.path === path)
  if (!convolution) throw new RangeError(noConvolution(model, options.layer, plan))
  if (!convolution.mixture) {
    throw new RangeError(
      `${WHERE}: layer must be a convolution that fits, got ${path}: ${convolution.reason}`,
    )
  }
  if (options.patchesPerExpert !== undefined) return convolution as PlannedReplacement
  const everyPatch = planPatchMoE(model, {
    numExperts,
    patchSize,
    patchesPerExpert: convolution.mixture.patches,
  })
  return everyPatch.convolutions.find(planned => planned.path === path) as PlannedReplacement
}

type PlannedReplacement = InsertedPatchMoE['replaced']

/** The message for a model or a path without a convolution that fits. */
function noConvolution(
  model: tfl.LayersModel,
  requested: string | undefined,
  { convolutions }: PatchMoEPlan,
): string {
  const list = convolutions.map(({ path, reason }) => `${path}${reason === undefined ? '' : `: ${reason}`}`)
  const available = list.length === 0 ? 'no convolution' : list.join('; ')
  return requested === undefined
    ? `${WHERE}: model must have a convolution that fits, got ${model.name} with ${available}`
    : `${WHERE}: layer must be a convolution of the model, got ${requested} (${model.name} has ${available})`
}

type MixtureConfig = Pick<PatchMoEOptions, 'patchesPerExpert' | 'border' | 'gate' | 'gateScale'> & {
  readonly numExperts: number
  readonly patchSize: readonly number[]
  readonly routerInitializer?: PatchMoEOptions['routerInitializer']
  readonly routerTrainable?: boolean
  readonly seed: number
}

function exactOptions(options: InsertPatchMoEOptions, { patches }: PlannedMixture): MixtureConfig {
  return {
    ...common(options),
    patchesPerExpert: patches,
    border: 'halo',
    gate: 'uniform',
    gateScale: 'none',
    routerInitializer: 'zeros',
  }
}

function requestedOptions(
  options: InsertPatchMoEOptions,
  { patchesPerExpert }: PlannedMixture,
): MixtureConfig {
  const { border = 'halo', gate = 'softmax-selected', gateScale = 'mean-one' } = options
  const { routerInitializer, routerTrainable } = options
  return {
    ...common(options),
    patchesPerExpert,
    border,
    gate,
    gateScale,
    ...(routerInitializer !== undefined && { routerInitializer }),
    ...(routerTrainable !== undefined && { routerTrainable }),
  }
}

function common({ numExperts, patchSize, seed = 0 }: InsertPatchMoEOptions) {
  return { numExperts, patchSize: size2D(patchSize, `${WHERE}: patchSize`), seed: deriveSeed(seed, 'insert') }
}

/** Settings that a mixture takes over from the convolution. */
const CONVOLUTION_SETTINGS = [
  'name',
  'trainable',
  'batchInputShape',
  'dtype',
  'filters',
  'kernelSize',
  ...convolutionKeys,
] as const

function replacing(
  model: tfl.LayersModel,
  path: string,
  mixture: MixtureConfig,
  options: RebuildOptions = {},
): tfl.LayersModel {
  const change: LayerChange = ({ config }) => {
    const settings = CONVOLUTION_SETTINGS.flatMap(key =>
      config[key] === undefined ? [] : [[key, config[key]] as const],
    )
    return {
      className: PatchMoE.className,
      config: { ...Object.fromEntries(settings), ...mixture } as unknown as tf.serialization.ConfigDict,
    }
  }
  return rebuildModel(model, new Map([[path, change]]), WHERE, options)
}

/** Starts every router in the direction of the mean of its expert's filters. */
function startRouter(layer: PatchMoE): void {
  const { numExperts, patchSize } = layer
  const [router, kernel] = layer.weights as [tfl.LayerVariable, tfl.LayerVariable]
  tf.tidy(() => {
    const taps = tf.sum(kernel.read(), [0, 1]) // (C,filters)
    const mean = tf.mean(tf.reshape(taps, [taps.shape[0] as number, numExperts, -1]), 2) // (C,K)
    const rms = tf.maximum(tf.sqrt(tf.mean(tf.square(mean), 0, true)), tf.backend().epsilon())
    const direction = tf.mul(tf.div(mean, rms), ROUTER_SIZE)
    const patches = tf.tile(tf.reshape(direction, [1, 1, ...direction.shape]), [...patchSize, 1, 1])
    ;(router.read() as tf.Variable).assign(patches)
  })
}

function compare(
  before: tfl.LayersModel,
  after: tfl.LayersModel,
  inputs: tf.Tensor[],
): Promise<ModelDifference> {
  return compareOutputs(
    x => before.predict(x),
    x => after.predict(x),
    inputs,
  )
}
