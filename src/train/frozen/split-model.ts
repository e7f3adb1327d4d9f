import type * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { frugalForward } from '../../layers/frugal-forward.js'
import { type GraphStep, graphSteps } from '../../layers/graph-steps.js'
import { isNestedModel } from '../../layers/layer-paths.js'
import { namedLayer, pathOf } from './named-layer.js'

/** A network in two parts that share its layers: nothing is copied, and training the head trains the network. */
export interface SplitModel {
  readonly model: tfl.LayersModel
  /** Path of the layer after which it is cut. */
  readonly path: string
  /** The tensor that passes from the body to the head. */
  readonly tensor: tfl.SymbolicTensor
  /** From the input of the network to that tensor. */
  readonly body: tfl.LayersModel
  /** Shape of the features of one image, without the batch. */
  readonly featureShape: readonly number[]
  /**
   * From that tensor to the output of the network.
   *
   * @param features (B, ...featureShape) float32
   * @returns the output of the network; the caller disposes it
   */
  head(features: tf.Tensor, training: boolean): tf.Tensor
}

/** A place where a network can be cut in two. */
export interface CutPoint {
  readonly tensor: tfl.SymbolicTensor
  /** The calls of layers up to there. */
  readonly steps: readonly GraphStep[]
}

/**
 * Cuts a network in two after a layer.
 *
 * @param path of the layer, or its name
 * @throws RangeError when there is no such layer, it stands within a nested model, or other tensors pass by it: the error names them,
 *   and the nearest layers after which the network can be cut
 */
export function splitModel(model: tfl.LayersModel, path: string): SplitModel {
  const cut = cutAfter(model, path)
  if ('tensor' in cut) return splitAt(model, cut.tensor)
  throw new RangeError(
    `splitModel: path must be a layer after which a single tensor passes, got ${path}: ${cut.reason}`,
  )
}

/**
 * The tensor after a layer, where nothing else passes by it; otherwise why not, as a sentence.
 *
 * @throws RangeError when there is no such layer
 */
export function cutAfter(
  model: tfl.LayersModel,
  path: string,
): { readonly tensor: tfl.SymbolicTensor } | { readonly reason: string } {
  const { layer, own } = namedLayer(model, path, 'splitModel: path')
  const steps = graphSteps(model, { inline: true })
  if (!steps) return { reason: `${model.name} has several inputs, layers with several outputs, or masks` }
  const at = steps.findLastIndex(step => step.layer === lastLayer(layer, steps))
  if (at < 0) {
    const around = steps.findLastIndex(step => step.layer === own)
    return { reason: `it is inside ${own.name} (the network can be cut ${cutText(model, steps, around)})` }
  }
  const passing = passingTensors(model, steps, at)
  if (passing.length === 1) return { tensor: (steps[at] as GraphStep).output }
  const names = passing.map(({ sourceLayer }) => pathOf(model, sourceLayer)).join(', ')
  return {
    reason: `${passing.length} tensors pass there, the outputs of ${names} (the network can be cut ${cutText(model, steps, at)})`,
  }
}

/** A layer that is called in a graph, or the last one of a nested model whose layers stand in it: that of a sequential model's begin. */
function lastLayer(layer: tfl.layers.Layer, steps: readonly GraphStep[]): tfl.layers.Layer {
  if (!isNestedModel(layer) || steps.some(step => step.layer === layer)) return layer
  const [output] = layer.outputs
  return output ? lastLayer(output.sourceLayer, steps) : layer
}

/** Cuts a network in two at a tensor of {@link cutPoints}. */
export function splitAt(model: tfl.LayersModel, tensor: tfl.SymbolicTensor): SplitModel {
  const head = frugalForward(model, tensor)
  return {
    model,
    path: pathOf(model, tensor.sourceLayer),
    tensor,
    body: bodyOf(model, tensor),
    featureShape: tensor.shape.slice(1) as number[],
    head,
  }
}

/** From the input of a network to a tensor of it, or of a network inside it; it shares the layers. */
function bodyOf(model: tfl.LayersModel, tensor: tfl.SymbolicTensor): tfl.LayersModel {
  const name = `${model.name}_body`
  const nested = (graphSteps(model) ?? []).find(
    ({ layer, output }) => output !== tensor && isNestedModel(layer) && holds(layer, tensor),
  )
  if (!nested) return tfl.model({ inputs: model.inputs, outputs: tensor, name })
  const { layer, output } = nested
  const read = layer.inboundNodes[output.nodeIndex]?.inputTensors[0] as tfl.SymbolicTensor
  const features = bodyOf(layer as tfl.LayersModel, tensor).apply(read) as tfl.SymbolicTensor
  return tfl.model({ inputs: model.inputs, outputs: features, name })
}

/** Whether a tensor is one of a model's, or of a model inside it. */
function holds(model: tfl.LayersModel, tensor: tfl.SymbolicTensor): boolean {
  return (graphSteps(model, { inline: true }) ?? []).some(({ output }) => output === tensor)
}

/** The places where a single tensor passes, from the first layer to the last; none for a model that `graphSteps` does not cover. */
export function cutPoints(model: tfl.LayersModel): readonly CutPoint[] {
  const steps = graphSteps(model, { inline: true }) ?? []
  return steps.flatMap(({ output }, at) => {
    const isCut =
      passingTensors(model, steps, at).length === 1 && output.shape.slice(1).every(side => side !== null)
    return isCut ? [{ tensor: output, steps: steps.slice(0, at + 1) }] : []
  })
}

/** The tensors that are made up to a step and read after it, or are the output. */
function passingTensors(
  model: tfl.LayersModel,
  steps: readonly GraphStep[],
  at: number,
): readonly tfl.SymbolicTensor[] {
  const made = new Map(steps.slice(0, at + 1).map(({ output }) => [output.id, output]))
  const read = new Set(steps.slice(at + 1).flatMap(({ inputs }) => inputs))
  const result = steps.at(-1)?.output.id
  const ofLayers = [...made.values()].filter(({ id }) => read.has(id) || id === result)
  const [input] = model.inputs
  return input && read.has(input.id) ? [input, ...ofLayers] : ofLayers
}

/** The nearest places before and after a step where a network can be cut. */
function cutText(model: tfl.LayersModel, steps: readonly GraphStep[], at: number): string {
  const cuts = steps.flatMap((step, i) => (passingTensors(model, steps, i).length === 1 ? [{ i, step }] : []))
  const before = cuts.findLast(({ i }) => i < at)
  const after = cuts.find(({ i }) => i > at)
  const names = [before, after].flatMap(cut => (cut ? [pathOf(model, cut.step.layer)] : []))
  return names.length > 0 ? `after ${names.join(' or ')}` : 'nowhere'
}
