import * as tf from '@tensorflow/tfjs-core'

/**
 * Has the backward pass free each operation's tensors as soon as it has passed it: what the operation kept from the
 * forward pass, and the derivatives by its outputs. tfjs keeps all of both until the whole pass has ended, so that a
 * network's activations and all their derivatives would be in memory together.
 *
 * To be called at the end of the function that `tf.variableGrads` differentiates; values and gradients stay the same.
 * Where nothing is being differentiated it does nothing.
 */
export function releaseEarly(): void {
  let passed: PassedOperation | undefined
  for (const node of tf.engine().state.activeTape ?? []) {
    const { gradient, saved } = node
    if (!gradient) continue
    node.gradient = dys => {
      // The tape is walked one operation at a time: the one before is done with.
      if (passed) release(passed)
      const results: tf.Tensor[] = []
      passed = { tensors: [...dys, ...(saved ?? [])], results }
      return Object.fromEntries(
        Object.entries(gradient(dys)).map(([input, compute]) => [input, () => noted(compute(), results)]),
      )
    }
  }
}

/** An operation that the backward pass has computed the derivatives of. */
interface PassedOperation {
  /** What only this operation needed; null where no derivative reached an output. */
  readonly tensors: readonly (tf.Tensor | null)[]
  /** The derivatives by its inputs: they live on, even where one is a derivative by an output handed through. */
  readonly results: readonly tf.Tensor[]
}

function release({ tensors, results }: PassedOperation): void {
  for (const tensor of tensors) if (tensor && !results.includes(tensor)) tensor.dispose()
}

function noted(result: tf.Tensor, results: tf.Tensor[]): tf.Tensor {
  results.push(result)
  return result
}
