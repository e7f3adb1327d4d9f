import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { checkOptionNames, type OptionNames } from '../known-options.js'
import { placedLayers } from '../layers/layer-paths.js'
import { PatchMoE } from '../layers/moe/patch-moe.js'
import type { PatchMoEOptions } from '../layers/moe/patch-moe-options.js'
import { convolutionKeys } from '../layers/standard-options.js'
import { deriveSeed, random } from '../random.js'
import { size2D } from '../shapes.js'
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
  /** What the models are compared on, one tensor an input. Default two samples of uniform numbers in [0, 1). */
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
   * Greatest difference of any output number to the old model's, on the sample, where every patch is kept, gates are
   * uniform and borders true: rounding.
   */
  readonly difference: number
  /** The same as the mixture was asked for: what fewer patches change before any training. */
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

/** Share of the outputs' magnitude that rounding may take; deep networks amplify the last bits of their maps. */
const TOLERANCE = 1e-3

/** Root mean square of the router's start: its order of patches counts, and gates stay close to 1. */
const ROUTER_SIZE = 1e-5

/**
 * Puts a `PatchMoE` in the place of a convolution of a trained model: exact upcycling.
 *
 * Expert s takes the filters [s F, (s+1) F) of the kernel, and their biases, activation, regularizers and constraints.
 * With L = N, uniform gates and true borders the new model computes what the old one does, to rounding; the function
 * runs both and reports the difference. Then L, gates and border become what was asked for: border 'halo' and gate
 * 'softmax-selected' with scale 'mean-one' unless given, so that gates start close to 1 and the routers learn. What
 * that changes on the sample is reported too.
 *
 * Unless `routerInitializer` is given, router s starts in the direction of its expert's mean response,
 * w_s ~ sum over taps and mean over filters of the kernel, with a root mean square of 1e-5: patches come first to
 * which the expert answers most.
 *
 * Works for sequential, functional and nested models with any number of inputs and outputs. Layers shared within the
 * model stay shared, and a shared convolution becomes a shared mixture where its maps have one size.
 *
 * @throws RangeError when no convolution fits (the error lists each with its reason), the one asked for does not, an
 * option does not suit it, or a layer stands in two models
 * @throws Error when the model cannot be rebuilt, or the rebuilt one computes something else
 */
export async function insertPatchMoE(
  model: tfl.LayersModel,
  options: InsertPatchMoEOptions,
): Promise<InsertedPatchMoE> {
  checkOptionNames(WHERE, options, optionNames)
  const replaced = chosenConvolution(model, options)
  const { path } = replaced
  const sample = samplesFor(model, options)
  const models: tfl.LayersModel[] = []
  try {
    const exact = replacing(model, path, exactOptions(options, replaced.mixture), { compile: false })
    models.push(exact)
    const { difference, magnitude } = await compare(model, exact, sample.inputs)
    checkExact(difference, magnitude, path)
    const asked = replacing(model, path, askedOptions(options, replaced.mixture))
    models.push(asked)
    const layer = placedLayers(asked).find(place => place.path === path)?.layer as PatchMoE
    if (options.routerInitializer === undefined) startRouter(layer)
    const { difference: change } = await compare(model, asked, sample.inputs)
    models.pop()
    return { model: asked, layer, replaced, difference, change, magnitude }
  } finally {
    for (const unused of models) disposeModel(unused)
    sample.dispose()
  }
}

function chosenConvolution(
  model: tfl.LayersModel,
  options: InsertPatchMoEOptions,
): PlannedConvolution & { readonly mixture: PlannedMixture } {
  const { numExperts, patchSize } = options
  const plan = planPatchMoE(model, { numExperts, patchSize, patchesPerExpert: options.patchesPerExpert ?? 1 })
  const path = options.layer ?? plan.chosen
  const found = plan.convolutions.find(convolution => convolution.path === path)
  if (!found) throw new RangeError(missing(model, options.layer, plan))
  if (!found.mixture) {
    throw new RangeError(`${WHERE}: layer must be a convolution that fits, got ${path}: ${found.reason}`)
  }
  if (options.patchesPerExpert !== undefined) return found as typeof found & { mixture: PlannedMixture }
  const all = planPatchMoE(model, { numExperts, patchSize, patchesPerExpert: found.mixture.patches })
  return all.convolutions.find(convolution => convolution.path === path) as typeof found & {
    mixture: PlannedMixture
  }
}

function missing(model: tfl.LayersModel, asked: string | undefined, { convolutions }: PatchMoEPlan): string {
  const list = convolutions.map(({ path, reason }) => `${path}${reason === undefined ? '' : `: ${reason}`}`)
  const found = list.length === 0 ? 'no convolution' : list.join('; ')
  return asked === undefined
    ? `${WHERE}: model must have a convolution that fits, got ${model.name} with ${found}`
    : `${WHERE}: layer must be a convolution of the model, got ${asked} (${model.name} has ${found})`
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

function askedOptions(options: InsertPatchMoEOptions, { patchesPerExpert }: PlannedMixture): MixtureConfig {
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

/** The configuration of the convolution, as far as a mixture has it. */
const KEPT = [
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
    const kept = KEPT.flatMap(key => (config[key] === undefined ? [] : [[key, config[key]] as const]))
    return {
      className: PatchMoE.className,
      config: { ...Object.fromEntries(kept), ...mixture } as unknown as tf.serialization.ConfigDict,
    }
  }
  return rebuildModel(model, new Map([[path, change]]), WHERE, options)
}

/** Points every router at what its expert's filters answer to on average. */
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

interface Samples {
  readonly inputs: tf.Tensor[]
  dispose(): void
}

/** Two samples for every input: numbers of [0, 1), or zeros where an input takes integers. */
function samplesFor(model: tfl.LayersModel, { sample, seed = 0 }: InsertPatchMoEOptions): Samples {
  if (sample) return { inputs: [sample].flat(), dispose: () => {} }
  const source = random(seed, 'insertPatchMoE sample')
  const inputs = model.inputs.map(({ shape, dtype, name }) => {
    const sides = shape.slice(1)
    if (!sides.every(side => side !== null)) {
      throw new RangeError(
        `${WHERE}: sample must be given for inputs of any size, got input ${name} of shape [${shape.map(side => side ?? 'null').join(', ')}]`,
      )
    }
    const full = [2, ...(sides as number[])]
    if (dtype === 'int32') return tf.zeros(full, 'int32')
    return tf.tensor(Float32Array.from({ length: tf.util.sizeFromShape(full) }, source.next), full)
  })
  return { inputs, dispose: () => tf.dispose(inputs) }
}

async function compare(
  before: tfl.LayersModel,
  after: tfl.LayersModel,
  inputs: tf.Tensor[],
): Promise<{ difference: number; magnitude: number }> {
  const numbers = tf.tidy(() => {
    const [old, now] = [before, after].map(model => [model.predict(inputs)].flat() as tf.Tensor[])
    const differences = (old as tf.Tensor[]).map((output, i) =>
      tf.max(tf.abs(tf.sub(output, (now as tf.Tensor[])[i] as tf.Tensor))),
    )
    const magnitudes = (old as tf.Tensor[]).map(output => tf.max(tf.abs(output)))
    return tf.stack([tf.max(tf.stack(differences)), tf.max(tf.stack(magnitudes))])
  })
  const [difference = Number.NaN, magnitude = Number.NaN] = await numbers.data()
  numbers.dispose()
  return { difference, magnitude }
}

function checkExact(difference: number, magnitude: number, path: string): void {
  const allowed = TOLERANCE * magnitude
  if (difference <= allowed) return
  throw new Error(
    `${WHERE}: the new model must equal the old one where every patch is kept, got a difference of ${difference} ` +
      `(outputs up to ${magnitude}, allowed ${allowed}; layer ${path})`,
  )
}
