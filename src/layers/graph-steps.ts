import * as tfl from '@tensorflow/tfjs-layers'

/** One call of a layer in the order of computation; tensors are named by the ids of their symbolic tensors. */
export interface GraphStep {
  readonly layer: tfl.layers.Layer
  readonly inputs: readonly number[]
  readonly output: tfl.SymbolicTensor
}

/** Layers that create masks, which only tfjs's own execution passes on. */
const MASKING = new Set(['Masking', 'Embedding'])

/**
 * The layers of a model of one input, in an order in which they can run: each tensor before what reads it. A nested
 * model counts as one layer.
 *
 * @param from where to begin instead of the input: a tensor of the model through which everything passes
 * @returns those up to the first output; undefined for models of several inputs, or with layers of several outputs, with call
 *   arguments, or with masks
 */
export function graphSteps(
  model: tfl.LayersModel,
  from?: tfl.SymbolicTensor,
): readonly GraphStep[] | undefined {
  // A sequential model knows its layers' penalties only once it is built; tfjs would build it at its first use.
  if (model instanceof tfl.Sequential && !model.built) model.build()
  const [input, output] = [from ?? model.inputs[0], model.outputs[0]]
  if (!input || !output || model.inputs.length !== 1) return undefined
  return stepsTo(output, input)
}

/** Keras writes `training` where a network was called with it; tfjs passes on what the model itself is called with. */
function isHeeded(callArgument: string): boolean {
  return callArgument !== 'training'
}

function stepsTo(output: tfl.SymbolicTensor, input: tfl.SymbolicTensor): GraphStep[] | undefined {
  const steps: GraphStep[] = []
  const reached = new Set([input.id])
  const visit = (tensor: tfl.SymbolicTensor): boolean => {
    if (reached.has(tensor.id)) return true
    const layer = tensor.sourceLayer
    const node = layer.inboundNodes[tensor.nodeIndex]
    if (!node || node.inputTensors.length === 0 || node.outputTensors.length !== 1) return false
    if (Object.keys(node.callArgs ?? {}).some(isHeeded) || MASKING.has(layer.getClassName())) return false
    if (!node.inputTensors.every(visit)) return false
    reached.add(tensor.id)
    steps.push({ layer, inputs: node.inputTensors.map(({ id }) => id), output: tensor })
    return true
  }
  return visit(output) ? steps : undefined
}
