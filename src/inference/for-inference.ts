import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { Dimension, RouteOutputs } from '../export/graph/graph.js'
import { modelGraph } from '../export/graph/model-graph.js'
import { checkOptionNames, type OptionNames } from '../known-options.js'
import { checkPatchesOfModel } from '../layers/moe/routing-layers.js'
import { readsAtOnce } from '../layers/moe/sample-dispatch.js'
import { programOf } from './graph-programs.js'
import { tfjsProgram } from './tfjs-program.js'

/** How a model is frozen. */
export interface InferenceOptions {
  /** Whether {@link FrozenModel.predictWithRoutes} is wanted; false unless given. */
  readonly routes?: boolean
  /** L of all layers that keep patches, from 1 to their number of patches; that of each layer unless given. */
  readonly patchesPerExpert?: number
}

const optionNames = { routes: true, patchesPerExpert: true } as const satisfies OptionNames<InferenceOptions>

/** What one mixture chose on a batch. */
export interface ModelRoute {
  /** Name of the layer, after those of the models it is nested in. */
  readonly layer: string
  /** (B,K,L) int32, numbers of the patches that each expert kept, best first. */
  readonly indices: tf.Tensor
  /** (B,K,L) float32, what multiplied the expert's outputs there. */
  readonly gates: tf.Tensor
  /** For layers whose samples choose experts, (B,M) float32: the scores of all experts; indices and gates are (B,k) there. */
  readonly scores?: tf.Tensor
}

/** A trained model as it was when it was frozen, for prediction alone. */
export interface FrozenModel {
  readonly inputs: readonly { readonly name: string; readonly shape: readonly Dimension[] }[]
  readonly outputNames: readonly string[]
  /**
   * What the model says in inference mode, to 1e-5 of its largest output.
   *
   * @param x one tensor an input, float32, channels last; the batch of any length
   * @returns one tensor an output; the caller disposes them
   * @throws RangeError when their number or shapes are not those of the inputs
   */
  predict(x: tf.Tensor | readonly tf.Tensor[]): tf.Tensor[]
  /**
   * The same, and what each mixture chose, computed once.
   *
   * @throws Error when the model was frozen without `routes`
   */
  predictWithRoutes(x: tf.Tensor | readonly tf.Tensor[]): {
    readonly outputs: tf.Tensor[]
    readonly routes: readonly ModelRoute[]
  }
  /** Frees its numbers, those of the model stay. */
  dispose(): void
}

/**
 * Freezes a trained model for prediction on the current backend: BatchNorm folded into the products before it, biases and
 * ReLU computed with them, experts' kernels sorted once, and no map made where only its mean is read. Later training of
 * the model does not change it.
 *
 * @param model of layers that can be exported, with inputs of fixed size but for the batch
 * @throws UnsupportedModelError naming the layer and its position when one cannot be frozen, or a size that is not fixed;
 *   RangeError when `patchesPerExpert` is not for this model
 */
export async function forInference(
  model: tfl.LayersModel,
  options: InferenceOptions = {},
): Promise<FrozenModel> {
  checkOptionNames('forInference', options, optionNames)
  const { routes = false, patchesPerExpert } = options
  if (patchesPerExpert !== undefined)
    checkPatchesOfModel(model, patchesPerExpert, 'forInference: patchesPerExpert')
  const graph = await modelGraph(model, { routes, patchesPerExpert, everyExpert: !readsAtOnce() })
  const program = (await programOf(tf.getBackend(), graph)) ?? tfjsProgram(graph)
  const numOutputs = model.outputs.length
  const inputs = graph.inputs.map(({ name, value }) => ({ name, shape: value.shape }))
  const run = (x: tf.Tensor | readonly tf.Tensor[]) => {
    const fed = x instanceof tf.Tensor ? [x] : x
    checkInputs(fed, inputs)
    return program.run(fed)
  }
  return {
    inputs,
    outputNames: graph.outputs.slice(0, numOutputs).map(({ name }) => name),
    predict(x) {
      const [outputs, chosen] = halves(run(x), numOutputs)
      tf.dispose(chosen)
      return outputs
    },
    predictWithRoutes(x) {
      if (!routes) {
        throw new Error(`forInference: routes must be true for predictWithRoutes, got false (${model.name})`)
      }
      const [outputs, chosen] = halves(run(x), numOutputs)
      const byName = new Map(
        graph.outputs.slice(numOutputs).map(({ name }, i) => [name, chosen[i] as tf.Tensor]),
      )
      return { outputs, routes: (graph.routes ?? []).map(route => routeOf(route, byName)) }
    },
    dispose: () => program.dispose(),
  }
}

function halves(tensors: tf.Tensor[], count: number): [tf.Tensor[], tf.Tensor[]] {
  return [tensors.slice(0, count), tensors.slice(count)]
}

function routeOf({ layer, ...names }: RouteOutputs, byName: ReadonlyMap<string, tf.Tensor>): ModelRoute {
  const [indices, gates] = [byName.get(names.indices), byName.get(names.gates)] as [tf.Tensor, tf.Tensor]
  const scores = names.scores === undefined ? undefined : byName.get(names.scores)
  return { layer, indices, gates, ...(scores && { scores }) }
}

function checkInputs(fed: readonly tf.Tensor[], inputs: FrozenModel['inputs']): void {
  if (fed.length !== inputs.length) {
    throw new RangeError(`forInference: inputs must be ${inputs.length}, got ${fed.length}`)
  }
  for (const [i, { name, shape }] of inputs.entries()) {
    const { shape: got } = fed[i] as tf.Tensor
    if (got.length === shape.length && shape.every((side, axis) => side === null || side === got[axis]))
      continue
    throw new RangeError(
      `forInference: input ${name} must be of shape [${shape.map(side => side ?? 'any').join(', ')}], ` +
        `got [${got.join(', ')}]`,
    )
  }
}
