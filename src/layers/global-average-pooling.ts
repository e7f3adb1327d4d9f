import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { handGradient } from './hand-gradient.js'
import { layerInput } from './validation.js'

/** Options of {@link globalAveragePooling2d}, as in tfjs-layers. */
export type GlobalAveragePooling2DOptions = Parameters<typeof tfl.layers.globalAveragePooling2d>[0]

/** tfjs exports a factory for this layer, but not its class. */
const Standard = tfl.layers.globalAveragePooling2d({ name: 'standard' }).constructor as new (
  options: GlobalAveragePooling2DOptions,
) => tfl.layers.Layer & { readonly dataFormat: string }

/**
 * tfjs's GlobalAveragePooling2D of maps with channels last. Its gradient repeats the output's gradient at every pixel;
 * tfjs instead multiplies by a map of ones that JavaScript fills, and keeps the input to know its shape. Class name,
 * configuration and results are those of tfjs.
 */
export class GlobalAveragePooling2D extends Standard {
  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: Record<string, unknown>): tf.Tensor | tf.Tensor[] {
    const x = layerInput(inputs, this.getClassName())
    if (this.dataFormat !== 'channelsLast') return super.call(inputs, kwargs)
    return tf.tidy(() => {
      this.invokeCallHook(inputs, kwargs)
      const [batch, height, width, channels] = x.shape
      return handGradient([x], () => ({
        value: tf.mean<tf.Tensor2D>(x, [1, 2]),
        saved: [],
        gradient: dy => {
          const share = tf.reshape(tf.div(dy, height * width), [batch, 1, 1, channels])
          // Adding it to zeros repeats it over the map; on wasm that is a hundred times as fast as tf.tile.
          return [tf.add(share, tf.zeros([1, height, width, 1]))]
        },
      }))
    })
  }
}

/** Creates a {@link GlobalAveragePooling2D} layer: (B,H,W,C) float32 to (B,C), the mean over all pixels. */
export function globalAveragePooling2d(options: GlobalAveragePooling2DOptions = {}): GlobalAveragePooling2D {
  return new GlobalAveragePooling2D(options)
}
