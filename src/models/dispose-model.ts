import type * as tf from '@tensorflow/tfjs'

/**
 * Frees every weight of a model. tfjs's own `model.dispose()` leaves those of layers that the model applies more than
 * once, which it counts as in use.
 */
export function disposeModel(model: tf.LayersModel): void {
  const variables = model.weights.map(weight => weight.read())
  model.dispose()
  for (const variable of variables) if (!variable.isDisposed) variable.dispose()
}
