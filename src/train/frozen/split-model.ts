import type * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { frugalForward } from '../../layers/frugal-forward.js'
import { type GraphStep, graphSteps } from '../../layers/graph-steps.js'
import { namedLayer } from './named-layer.js'

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
  const { own, inner, isHeld } = namedLayer(model, path, 'splitModel: path')
  const steps = graphSteps(model)
  if (!steps) {
    throw new RangeError(
      `splitModel: model must have one input and layers of one output without masks, got ${model.name}`,
    )
  }
  const at = steps.findLastIndex(step => step.layer === own)
  if (inner !== undefined || isHeld) {
    throw new RangeError(
      `splitModel: path must be a layer of the model's own graph, got ${path}, which is inside ${own.name} (${cutText(steps, at)})`,
    )
  }
  const passing = at < 0 ? [] : passingTensors(steps, at)
  if (passing.length !== 1) {
    throw new RangeError(
      `splitModel: path must be a layer after which a single tensor passes, got ${path}, where ${passing.length} do: ` +
        `the outputs of ${passing.map(({ sourceLayer }) => sourceLayer.name).join(', ')} (${cutText(steps, at)})`,
    )
  }
  return splitAt(model, (steps[at] as GraphStep).output)
}

/** Cuts a network in two at a tensor of {@link cutPoints}. */
export function splitAt(model: tfl.LayersModel, tensor: tfl.SymbolicTensor): SplitModel {
  const head = frugalForward(model, tensor)
  return {
    model,
    path: tensor.sourceLayer.name,
    tensor,
    body: tfl.model({ inputs: model.inputs, outputs: tensor, name: `${model.name}_body` }),
    featureShape: tensor.shape.slice(1) as number[],
    head,
  }
}

/** The places where a single tensor passes, from the first layer to the last; none for a model that `graphSteps` does not cover. */
export function cutPoints(model: tfl.LayersModel): readonly CutPoint[] {
  const steps = graphSteps(model) ?? []
  return steps.flatMap(({ output }, at) => {
    const isCut = passingTensors(steps, at).length === 1 && output.shape.slice(1).every(side => side !== null)
    return isCut ? [{ tensor: output, steps: steps.slice(0, at + 1) }] : []
  })
}

/** The tensors that are made up to a step and read after it, or are the output. */
function passingTensors(steps: readonly GraphStep[], at: number): readonly tfl.SymbolicTensor[] {
  const made = new Map(steps.slice(0, at + 1).map(({ output }) => [output.id, output]))
  const read = new Set(steps.slice(at + 1).flatMap(({ inputs }) => inputs))
  const result = steps.at(-1)?.output.id
  const ofLayers = [...made.values()].filter(({ id }) => read.has(id) || id === result)
  const input = steps[0]?.layer.inboundNodes[steps[0].output.nodeIndex]?.inputTensors[0]
  return input && read.has(input.id) ? [input, ...ofLayers] : ofLayers
}

/** The nearest places before and after a step where a network can be cut. */
function cutText(steps: readonly GraphStep[], at: number): string {
  const cuts = steps.flatMap((step, i) => (passingTensors(steps, i).length === 1 ? [{ i, step }] : []))
  const before = cuts.findLast(({ i }) => i < at)
  const after = cuts.find(({ i }) => i > at)
  const names = [before, after].flatMap(cut => (cut ? [cut.step.layer.name] : []))
  return names.length > 0 ? `it can be cut after ${names.join(' or ')}` : 'it can be cut nowhere'
}
