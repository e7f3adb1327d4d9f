import type * as tfl from '@tensorflow/tfjs-layers'
import { type KerasModel, kerasModel as modelOf } from '../export/weights/keras-model.js'
import { loadKerasWeights as loadInto } from '../export/weights/keras-weights.js'
import { kerasReading } from '../files/keras/keras-thread.js'

/**
 * Gives a model the weights of a Keras file (`.h5`, `.weights.h5`), all of them or none; the file is read in a thread, and
 * a damaged one given up after some seconds. See `loadKerasWeights` of export/weights for how layers are matched.
 *
 * @param bytes the whole file
 * @param source its name, for errors
 * @param config of the network, where another file has it, such as `config.json` of `.keras`
 * @returns how many layers got weights
 * @throws Error when the file is damaged or not Keras's; RangeError naming the layer and both shapes where a
 *   layer of one side has no counterpart on the other; the model is then unchanged
 */
export function loadKerasWeights(
  model: tfl.LayersModel,
  bytes: Uint8Array,
  source: string,
  config?: unknown,
): Promise<number> {
  return loadInto(model, bytes, source, config, kerasReading)
}

/**
 * Makes the network that a Keras file holds, with its weights, out of layers of tfjs; the file is read in a thread.
 *
 * @param bytes of `.h5`, or of `model.weights.h5` in a `.keras` archive
 * @param source its name, for errors
 * @param config of the network where it is not in the file: `config.json` of the archive
 * @returns undefined where there is no configuration, only weights; the caller disposes the model
 * @throws Error naming the layer that tfjs does not have or has otherwise; as {@link loadKerasWeights} where the file is
 *   damaged
 */
export function kerasModel(
  bytes: Uint8Array,
  source: string,
  config?: unknown,
): Promise<KerasModel | undefined> {
  return modelOf(bytes, source, config, kerasReading)
}
