import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { BatchNormalization } from './batch-norm.js'
import { graphSteps } from './graph-steps.js'
import { isRecipeSource } from './recomputation.js'
import { ReLU } from './relu.js'

/** A step, and the id of the tensor that it makes. */
interface Step {
  readonly layer: tfl.layers.Layer
  readonly inputs: readonly number[]
  readonly output: number
  /** Whether this BatchNorm does the work of the ReLU after it, too. */
  readonly rectify?: boolean
}

/**
 * Applies a model of one input and one output, and frees each layer's output once the last layer that reads it has
 * run. tfjs holds all of them until the forward pass has ended, whether the backward pass needs them or not.
 *
 * A BatchNorm whose output only a ReLU reads is asked to do both, in one pass where the backend can.
 *
 * Models that this does not cover (several inputs, layers with several outputs, with call arguments, or with masks) are applied as tfjs
 * does it; nested models count as one layer. Values and gradients are the same.
 *
 * @param from where to begin instead of the input: a tensor of the model through which everything passes
 * @returns a function that applies the model; the caller disposes its result
 * @throws RangeError where it is to begin at a tensor that it does not cover
 */
export function frugalForward(
  model: tfl.LayersModel,
  from?: tfl.SymbolicTensor,
): (x: tf.Tensor | tf.Tensor[], training: boolean) => tf.Tensor {
  const steps = graphSteps(model, { from, inline: from !== undefined })?.map(
    ({ output: { id }, ...step }): Step => ({ ...step, output: id }),
  )
  const [input, output] = [from ?? model.inputs[0], model.outputs[0]]
  if (from && !steps) {
    throw new RangeError(
      `frugalForward: everything must pass through the tensor where ${model.name} is to begin, got ${from.name}`,
    )
  }
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
