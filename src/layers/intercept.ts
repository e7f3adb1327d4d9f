import type * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'

/**
 * A function that replaces the computation of a layer.
 *
 * @param input of the layer
 * @param compute the layer's own computation; call arguments that it is given besides go to the layer
 */
export type Intercept<Layer extends tfl.layers.Layer> = (
  input: tf.Tensor4D,
  compute: (input: tf.Tensor4D, more?: Readonly<Record<string, unknown>>) => tf.Tensor,
  layer: Layer,
) => tf.Tensor

/**
 * Calls `run` while `intercept` replaces the computations of some layers, wherever in a model they are.
 *
 * Afterwards the layers compute as before, also where `run` throws.
 *
 * @param layers each of one input
 */
export function withIntercepted<Layer extends tfl.layers.Layer, Result>(
  layers: readonly Layer[],
  intercept: Intercept<Layer>,
  run: () => Result,
): Result {
  const restore = intercepted(layers, intercept)
  try {
    return run()
  } finally {
    restore()
  }
}

/** As {@link withIntercepted}, until what `run` promises is there; until then nothing else must compute with these layers. */
export async function whileIntercepted<Layer extends tfl.layers.Layer, Result>(
  layers: readonly Layer[],
  intercept: Intercept<Layer>,
  run: () => Promise<Result>,
): Promise<Result> {
  const restore = intercepted(layers, intercept)
  try {
    return await run()
  } finally {
    restore()
  }
}

/** Replaces the computations of layers, and returns what puts them back. */
function intercepted<Layer extends tfl.layers.Layer>(
  layers: readonly Layer[],
  intercept: Intercept<Layer>,
): () => void {
  const own = layers.map(layer => Object.getOwnPropertyDescriptor(layer, 'call'))
  for (const layer of layers) {
    const compute = layer.call.bind(layer)
    layer.call = (inputs, kwargs) =>
      intercept(
        (Array.isArray(inputs) ? inputs[0] : inputs) as tf.Tensor4D,
        (input, more) => compute(input, { ...kwargs, ...more }) as tf.Tensor,
        layer,
      )
  }
  return () => {
    // Without an own property, `call` is the method of the class again.
    for (const [i, layer] of layers.entries()) {
      const before = own[i]
      if (before) Object.defineProperty(layer, 'call', before)
      else Reflect.deleteProperty(layer, 'call')
    }
  }
}
