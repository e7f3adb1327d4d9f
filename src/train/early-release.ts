import * as tf from '@tensorflow/tfjs-core'

/**
 * Makes the backward pass free the tensors of each operation as soon as the operation is done: those that it saved in
 * the forward pass, and the derivatives by its outputs. tfjs keeps all of both until the whole pass has ended, so that a
 * network's activations and all their derivatives would be in memory together.
 *
 * To be called at the end of the function that `tf.variableGrads` differentiates; values and gradients stay the same.
 * Outside such a function it does nothing.
 */
export function releaseEarly(): void {
  let previous: FinishedOperation | undefined
  for (const node of tf.engine().state.activeTape ?? []) {
    const { gradient, saved } = node
    if (!gradient) continue
    node.gradient = dys => {
      // The tape is walked one operation at a time, so the previous operation is done.
      if (previous) release(previous)
      const results: tf.Tensor[] = []
      previous = { tensors: [...dys, ...(saved ?? [])], results }
      return Object.fromEntries(
        Object.entries(gradient(dys)).map(([input, compute]) => [input, () => recorded(compute(), results)]),
      )
    }
  }
}

/** An operation that the backward pass has computed the derivatives of. */
interface FinishedOperation {
  /** The tensors that only this operation needed; null where no derivative reached an output. */
  readonly tensors: readonly (tf.Tensor | null)[]
  /** The derivatives by its inputs: still needed, even where one is the same tensor as a derivative by an output. */
  readonly results: readonly tf.Tensor[]
}

function release({ tensors, results }: FinishedOperation): void {
  for (const tensor of tensors) if (tensor && !results.includes(tensor)) tensor.dispose()
}

function recorded(result: tf.Tensor, results: tf.Tensor[]): tf.Tensor {
  results.push(result)
  return result
}
