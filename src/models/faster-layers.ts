import type * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { BatchNormalization } from '../layers/batch-norm.js'
import { Convolution } from '../layers/convolution.js'
import { GlobalAveragePooling2D } from '../layers/global-average-pooling.js'
import { allPlacedLayers } from '../layers/layer-paths.js'
import { ReLU } from '../layers/relu.js'
import { ResidualAdd } from '../layers/residual-add.js'
import { rebuildModel } from './rebuild.js'

/**
 * Copies a model with the layers of this library in the place of tfjs's own of the same class names: the results are
 * the same, training is faster and takes less memory.
 *
 * @returns a model that shares nothing with the old one; the caller disposes it
 * @throws RangeError, Error as `rebuildModel`
 */
export function withFasterLayers(model: tfl.LayersModel): tfl.LayersModel {
  const always = [BatchNormalization, Convolution, GlobalAveragePooling2D, ResidualAdd]
  const classes = reluIsPlain(model) ? [...always, ReLU] : always
  return rebuildModel(model, new Map(), 'withFasterLayers', {
    classes:
      classes as unknown as readonly tf.serialization.SerializableConstructor<tf.serialization.Serializable>[],
  })
}

/** Whether every ReLU layer is max(x, 0), without a `maxValue`. */
function reluIsPlain(model: tfl.LayersModel): boolean {
  return allPlacedLayers(model).every(
    ({ layer }) => layer.getClassName() !== 'ReLU' || layer.getConfig().maxValue == null,
  )
}
