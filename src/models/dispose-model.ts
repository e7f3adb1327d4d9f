import type * as tfl from '@tensorflow/tfjs-layers'

/**
 * Frees every weight of a model. tfjs's own `model.dispose()` leaves those of layers that the model applies more than
 * once, which it counts as in use.
 */
export function disposeModel(model: tfl.LayersModel): void {
  const variables = model.weights.map(weight => weight.read())
  model.dispose()
  for (const variable of variables) if (!variable.isDisposed) variable.dispose()
}
