import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import type { Product } from '../layers/moe/experts/expert.js'
import { PatchExperts } from '../layers/moe/patch-experts.js'
import { SampleExperts } from '../layers/moe/sample-experts.js'
import { checkOneTensorFlow } from '../layers/validation.js'
import { isPositiveInteger, shapeSize } from '../shapes.js'
import { shapeOf, sum, workOf } from './layer-work.js'

/** Multiply-adds of one sample. */
export interface MultiplyAdds {
  readonly forward: number
  readonly backward: number
}

/** What one application of a layer costs. */
export interface LayerCost {
  /** The layer's name, after those of the models it is nested in: `backbone/conv1`. */
  readonly name: string
  readonly className: string
  /** Shape of its (first) output, null for the batch. */
  readonly outputShape: readonly (number | null)[]
  /** Numbers in its weights, trained or not; 0 where a shared layer was counted before. */
  readonly parameters: number
  readonly multiplyAdds: MultiplyAdds
  /** For a mixture: what it would cost if every filter saw every patch, or every expert every sample, and nothing were routed. */
  readonly dense?: { readonly parameters: number; readonly multiplyAdds: MultiplyAdds }
  /** For experts on patches of a large image: what they would cost on the whole of its small view. */
  readonly view?: { readonly parameters: number; readonly multiplyAdds: MultiplyAdds }
}

/** What a model costs. */
export interface ModelCost {
  /** In the order of computation. */
  readonly layers: readonly LayerCost[]
  readonly parameters: { readonly trainable: number; readonly total: number }
  /** Of one sample; training is forward and backward together. */
  readonly multiplyAdds: MultiplyAdds & { readonly training: number }
  /**
   * Names of layers that may multiply matrices in ways unknown here: their multiply-adds are missing from
   * the sums.
   */
  readonly uncounted: readonly string[]
}

/**
 * Counts the parameters of a model, and its multiply-adds for one sample, layer by layer.
 *
 * The convention: a multiply-add is one product of a matrix product or convolution with its addition (2
 * FLOP). Only those count: bias, BatchNorm, activations, pooling, softmax, top-L, gathering and scattering
 * are 0. A 'same' convolution counts the zeros it pads with. Backward counts one gradient by a kernel, where
 * it is trained, and one by the input, where anything before it is trained, each as large as the forward
 * product: a first layer needs no input gradient and costs backward what it costs forward, though a backend
 * may compute one.
 *
 * `PatchMoE`: its routers score the whole map; its experts convolve kept patches alone, forward and backward,
 * at the same count for either border (a halo gathers more, but each output pixel takes as many products).
 * Routers learn from the patches that their gates depend on: from kept patches alone under 'softmax-selected', from
 * all under 'softmax-all', not at all under 'uniform'. `PatchGate` likewise; the convolutions behind it see the whole map and count in full.
 * `TwoLayerExperts`: routers, hidden units on kept patches, and the frozen head. `SampleExperts`: the router, and for each
 * expert that a sample chooses the mean of the experts. `SampleMoE`: the router and the experts that a sample chooses; the
 * router, and linear experts, see the sum of the patches, and a single expert of gate 'uniform' needs no router. `PatchExperts`:
 * the router on the view, and each expert, with the attention head, on its L patches; dense is each expert on as many patches as
 * the image's area has, view the same on the view's area.
 *
 * @param model a model of fixed image size; models within it are entered
 * @throws Error for a model without shapes, or a layer that lacks the weight its class has; RangeError for a
 *   layer whose output has no fixed size
 */
export function modelCost(model: tfl.LayersModel): ModelCost {
  // A Sequential has inputs and outputs before its first call builds it.
  if (!model.outputs?.length) {
    throw new Error(`modelCost: model must have known shapes, got ${model.name} without outputs`)
  }
  checkOneTensorFlow(model.outputs[0], 'modelCost')
  const tally: Tally = { layers: [], uncounted: [], seen: new Set(), trainable: 0, total: 0 }
  countModel(
    model,
    model.inputs.map(() => false),
    '',
    tally,
  )
  const { forward, backward } = totalOf(tally.layers)
  return {
    layers: tally.layers,
    parameters: { trainable: tally.trainable, total: tally.total },
    multiplyAdds: { forward, backward, training: forward + backward },
    uncounted: tally.uncounted,
  }
}

interface Tally {
  readonly layers: LayerCost[]
  readonly uncounted: string[]
  /** Layers whose parameters are counted. */
  readonly seen: Set<tfl.layers.Layer>
  trainable: number
  total: number
}

/**
 * Counts the layers between a model's inputs and outputs, in the order of computation.
 *
 * @param learned for each input, whether trained weights lie before it
 * @returns the same for each output
 */
function countModel(
  model: tfl.LayersModel,
  learned: readonly boolean[],
  prefix: string,
  tally: Tally,
): boolean[] {
  const learnedInputs = new Map<tfl.SymbolicTensor, boolean>(
    model.inputs.map((input, i) => [input, learned[i] ?? false]),
  )
  const applications = new Map<tfl.layers.Layer, Map<number, readonly boolean[]>>()
  const visit = (tensor: tfl.SymbolicTensor): boolean => {
    const learnedInput = learnedInputs.get(tensor)
    if (learnedInput !== undefined) return learnedInput
    const layer = tensor.sourceLayer
    const byNode = applications.get(layer) ?? new Map<number, readonly boolean[]>()
    applications.set(layer, byNode)
    let outputs = byNode.get(tensor.nodeIndex)
    if (!outputs) {
      outputs = countApplication(layer, tensor, tensor.inputs.map(visit), prefix, tally)
      byNode.set(tensor.nodeIndex, outputs)
    }
    return outputs[tensor.tensorIndex] ?? outputs[0] ?? false
  }
  return model.outputs.map(visit)
}

function countApplication(
  layer: tfl.layers.Layer,
  output: tfl.SymbolicTensor,
  learned: readonly boolean[],
  prefix: string,
  tally: Tally,
): readonly boolean[] {
  const name = prefix + layer.name
  if (layer instanceof tfl.LayersModel) return countModel(layer, learned, `${name}/`, tally)
  const work = workOf(layer, {
    input: () => fixedShape(name, output.inputs[0]),
    output: () => fixedShape(name, output),
  })
  if (!work) tally.uncounted.push(name)
  const before = learned.some(Boolean)
  const parameters = countParameters(layer, tally)
  const { products = [], dense } = work ?? {}
  const networks =
    layer instanceof SampleExperts
      ? networkCosts(layer, name, before, tally)
      : layer instanceof PatchExperts
        ? patchNetworkCosts(layer, name, tally)
        : undefined
  tally.layers.push({
    name,
    className: layer.getClassName(),
    outputShape: output.shape,
    parameters,
    multiplyAdds: added(multiplyAdds(products, before), networks?.chosen),
    ...(dense && {
      dense: { parameters: dense.parameters, multiplyAdds: multiplyAdds(dense.products, before) },
    }),
    ...(networks && { dense: networks.dense }),
    ...(networks?.view && { view: networks.view }),
  })
  return [before || layer.trainableWeights.length > 0]
}

/** What the networks that a layer holds cost: those of a sample's choice, and as in `LayerCost`. */
interface NetworkCosts extends Required<Pick<LayerCost, 'dense'>>, Pick<LayerCost, 'view'> {
  readonly chosen: MultiplyAdds
}

/** What a network within a layer costs, counted apart from the rest of the model. */
function networkCost(model: tfl.LayersModel | undefined, learned: boolean, prefix: string, tally: Tally) {
  const inner: Tally = { layers: [], uncounted: tally.uncounted, seen: new Set(), trainable: 0, total: 0 }
  if (model) countModel(model, [learned], prefix, inner)
  return { parameters: inner.total, multiplyAdds: totalOf(inner.layers) }
}

/** What the experts of a layer cost a sample: those that it chooses, taken as the mean of all, and all of them. */
function networkCosts(layer: SampleExperts, name: string, before: boolean, tally: Tally): NetworkCosts {
  const experts = [...layer.networks].map(([network, model]) =>
    networkCost(model, before, `${name}/${network}/`, tally),
  )
  const all = experts.map(({ multiplyAdds }) => multiplyAdds).reduce(added)
  return {
    chosen: scaled(all, layer.expertsPerSample / layer.numExperts),
    dense: { parameters: sum(experts.map(({ parameters }) => parameters)), multiplyAdds: all },
  }
}

/** What the networks of a layer cost an image: the router on its view, the experts on kept patches; and on all of it. */
function patchNetworkCosts(layer: PatchExperts, name: string, tally: Tally): NetworkCosts {
  const { numExperts, patchesPerExpert, options, grid } = layer
  const costOf = (network: string, learned: boolean) =>
    networkCost(layer.networks.get(network), learned, `${name}/${network}/`, tally)
  const experts = [...layer.networks.keys()]
    .filter(network => network.startsWith('expert'))
    .map(network => costOf(network, false))
  // With one network for all it is applied to the patches of each.
  const perPatch = scaled(
    experts.map(({ multiplyAdds }) => multiplyAdds).reduce(added),
    options.shareExpert ? numExperts : 1,
  )
  const head = scaled(costOf('attention', true).multiplyAdds, numExperts)
  const router = costOf('router', false).multiplyAdds
  const parameters = sum(experts.map(expert => expert.parameters))
  const patches = (grid.count * shapeSize(grid.cell)) / shapeSize(grid.patch)
  return {
    chosen: added(router, scaled(added(perPatch, head), patchesPerExpert)),
    dense: { parameters, multiplyAdds: scaled(perPatch, patches) },
    view: { parameters, multiplyAdds: scaled(perPatch, patches / options.viewScale ** 2) },
  }
}

function totalOf(layers: readonly LayerCost[]): MultiplyAdds {
  return {
    forward: sum(layers.map(({ multiplyAdds }) => multiplyAdds.forward)),
    backward: sum(layers.map(({ multiplyAdds }) => multiplyAdds.backward)),
  }
}

function scaled({ forward, backward }: MultiplyAdds, factor: number): MultiplyAdds {
  return { forward: forward * factor, backward: backward * factor }
}

function added(a: MultiplyAdds, b: MultiplyAdds | undefined): MultiplyAdds {
  return b ? { forward: a.forward + b.forward, backward: a.backward + b.backward } : a
}

function multiplyAdds(products: readonly Product[], learnedBefore: boolean): MultiplyAdds {
  return {
    forward: sum(products.map(product => product.forward)),
    backward: sum(
      products.map(({ gradient, trained, learnedInside }) => {
        const byKernel = trained ? gradient : 0
        const byInput = learnedBefore || learnedInside ? gradient : 0
        return byKernel + byInput
      }),
    ),
  }
}

function countParameters(layer: tfl.layers.Layer, tally: Tally): number {
  if (tally.seen.has(layer)) return 0
  tally.seen.add(layer)
  const size = (weights: readonly tfl.LayerVariable[]): number =>
    sum(weights.map(w => tf.util.sizeFromShape(shapeOf(w))))
  const total = size(layer.weights)
  tally.total += total
  tally.trainable += size(layer.trainableWeights)
  return total
}

/** The shape of a tensor without the batch. */
function fixedShape(name: string, tensor: tfl.SymbolicTensor | undefined): readonly number[] {
  const sides = tensor?.shape.slice(1) ?? []
  if (!sides.every(isPositiveInteger)) {
    throw new RangeError(`modelCost: shapes at ${name} must be fixed, got ${JSON.stringify(tensor?.shape)}`)
  }
  return sides
}
