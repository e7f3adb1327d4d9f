import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { BatchNormalization } from './batch-norm.js'
import { isRecipeSource } from './recomputation.js'
import { ReLU } from './relu.js'

/** One layer in the order of computation; tensors are named by the ids of their symbolic tensors. */
interface Step {
  readonly layer: tfl.layers.Layer
  readonly inputs: readonly number[]
  readonly output: number
  /** Whether this BatchNorm does the work of the ReLU after it, too. */
  readonly rectify?: boolean
}

/** Layers that create masks, which only tfjs's own execution passes on. */
const MASKING = new Set(['Masking', 'Embedding'])

/**
 * Applies a model of one input and one output, and frees each layer's output once the last layer that reads it has
 * run. tfjs holds all of them until the forward pass has ended, whether the backward pass needs them or not.
 *
 * A BatchNorm whose output only a ReLU reads is asked to do both, in one pass where the backend can.
 *
 * Models that this does not cover (several inputs, layers with several outputs, with call arguments, or with masks) are applied as tfjs
 * does it; nested models count as one layer. Values and gradients are the same.
 *
 * @returns a function that applies the model; the caller disposes its result
 */
export function frugalForward(
  model: tfl.LayersModel,
): (x: tf.Tensor | tf.Tensor[], training: boolean) => tf.Tensor {
  // A sequential model knows its layers' penalties only once it is built; tfjs would build it at its first use.
  if (model instanceof tfl.Sequential && !model.built) model.build()
  const [input, output] = [model.inputs[0], model.outputs[0]]
  const steps = input && output && model.inputs.length === 1 ? stepsTo(output, input) : undefined
  if (!input || !output || !steps) return (x, training) => model.apply(x, { training }) as tf.Tensor
  const joined = joinReLUs(steps, output.id)
  const readers = readersOf(joined)
  return (x, training) => {
    const [only] = Array.isArray(x) ? x : [x]
    const inputs = new Map([[input.id, only as tf.Tensor]])
    return tf.tidy(() => run(joined, inputs, readers, training, output.id))
  }
}

/** How many steps read each tensor. */
function readersOf(steps: readonly Step[]): ReadonlyMap<number, number> {
  const readers = new Map<number, number>()
  for (const id of steps.flatMap(step => step.inputs)) readers.set(id, (readers.get(id) ?? 0) + 1)
  return readers
}

/** The same steps, but where only a ReLU reads the output of a BatchNorm, the BatchNorm does both. */
function joinReLUs(steps: readonly Step[], result: number): readonly Step[] {
  const readers = readersOf(steps)
  const joined: Step[] = []
  for (const step of steps) {
    const input = step.inputs[0] as number
    const isOnlyReader = step.layer instanceof ReLU && readers.get(input) === 1 && input !== result
    const norm = joined.findIndex(
      ({ layer, output }) => isOnlyReader && output === input && layer instanceof BatchNormalization,
    )
    if (norm < 0) joined.push(step)
    else joined[norm] = { ...(joined[norm] as Step), output: step.output, rectify: true }
  }
  return joined
}

function run(
  steps: readonly Step[],
  values: Map<number, tf.Tensor>,
  readers: ReadonlyMap<number, number>,
  training: boolean,
  result: number,
): tf.Tensor {
  const inputIds = new Set(values.keys())
  const readersLeft = new Map(readers)
  for (const { layer, inputs, output, rectify } of steps) {
    const tensors = inputs.map(id => values.get(id) as tf.Tensor)
    const value = layer.apply(tensors.length === 1 ? (tensors[0] as tf.Tensor) : tensors, {
      training,
      ...(rectify && { rectify }),
    })
    values.set(output, value as tf.Tensor)
    for (const id of inputs) {
      const remaining = (readersLeft.get(id) ?? 0) - 1
      readersLeft.set(id, remaining)
      const tensor = values.get(id) as tf.Tensor
      if (remaining === 0 && !inputIds.has(id) && !isRecipeSource(tensor)) tensor.dispose()
    }
  }
  return values.get(result) as tf.Tensor
}

/** The layers from `input` to `output` in an order in which they can run; undefined if one of them is not covered. */
function stepsTo(output: tfl.SymbolicTensor, input: tfl.SymbolicTensor): Step[] | undefined {
  const steps: Step[] = []
  const reached = new Set([input.id])
  const visit = (tensor: tfl.SymbolicTensor): boolean => {
    if (reached.has(tensor.id)) return true
    const layer = tensor.sourceLayer
    const node = layer.inboundNodes[tensor.nodeIndex]
    if (!node || node.inputTensors.length === 0 || node.outputTensors.length !== 1) return false
    if (Object.keys(node.callArgs ?? {}).length > 0 || MASKING.has(layer.getClassName())) return false
    if (!node.inputTensors.every(visit)) return false
    reached.add(tensor.id)
    steps.push({ layer, inputs: node.inputTensors.map(({ id }) => id), output: tensor.id })
    return true
  }
  return visit(output) ? steps : undefined
}
