import type * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { disposeModel } from '../../models/dispose-model.js'
import { checkedModel } from '../../topology/checked-model.js'
import { type KerasReading, readKerasFile } from './keras-file.js'
import { loadKerasWeights } from './keras-weights.js'

/** A network that was read together with its weights. */
export interface KerasModel {
  readonly model: tfl.LayersModel
  /** Layers that got weights. */
  readonly layers: number
}

/**
 * Makes the network that a Keras file holds, with its weights, out of layers of tfjs.
 *
 * @param bytes of `.h5`, or of `model.weights.h5` in a `.keras` archive
 * @param source its name, for errors
 * @param config of the network where it is not in the file: `config.json` of the archive
 * @param read how the file is read
 * @returns undefined where there is no configuration, only weights; the caller disposes the model
 * @throws Error naming the layer that tfjs does not have or builds differently; as `loadKerasWeights` where the file is
 *   damaged
 */
export async function kerasModel(
  bytes: Uint8Array,
  source: string,
  config?: unknown,
  read: KerasReading = readKerasFile,
): Promise<KerasModel | undefined> {
  const content = await read(bytes, source, config)
  const networkConfig = config ?? content.config
  if (networkConfig === undefined) return undefined
  const model = await builtModel(networkConfig as object, source)
  try {
    return { model, layers: await loadKerasWeights(model, bytes, source, networkConfig, async () => content) }
  } catch (error) {
    disposeModel(model)
    throw error
  }
}

async function builtModel(config: object, source: string): Promise<tfl.LayersModel> {
  const topology: tf.io.IOHandler = { load: async () => ({ modelTopology: config }) }
  try {
    return await tfl.loadLayersModel(checkedModel(topology, source))
  } catch (cause) {
    const [reason = ''] = (cause as Error).message.split('\n')
    if (reason.startsWith(`${source}:`)) throw cause
    throw new Error(`${source}: network must be one that tfjs can build, got: ${reason}`, { cause })
  }
}
