import type * as tfl from '@tensorflow/tfjs-layers'
import { type KerasReading, readKerasFile } from './keras-file.js'
import { matchLayers } from './stored-layers.js'
import { loadWeights, namedWeights } from './weights.js'

/**
 * Gives a model the weights of a Keras file (`.h5`, `.weights.h5`), all of them or none. Layers are matched by their
 * names where the file and the model call all of them alike, else in order by the shapes of their weights: a network of
 * the published code goes into `wideResNet`, dense or of the variant 'authors'.
 *
 * @param bytes the whole file
 * @param source its name, for errors
 * @param config of the network, where another file has it, such as `config.json` of `.keras`
 * @param read how the file is read
 * @returns how many layers got weights
 * @throws Error when the file is damaged or not Keras's; RangeError naming the layer and both shapes where a
 *   layer of one side has no counterpart on the other; the model is then unchanged
 */
export async function loadKerasWeights(
  model: tfl.LayersModel,
  bytes: Uint8Array,
  source: string,
  config?: unknown,
  read: KerasReading = readKerasFile,
): Promise<number> {
  const { layers } = await read(bytes, source, config)
  loadWeights(model, matchLayers(model, layers, source), source)
  return new Set(namedWeights(model).map(({ layer }) => layer)).size
}
