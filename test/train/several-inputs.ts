import * as tf from '@tensorflow/tfjs'

/** A model of two inputs and two outputs, which no loss here is for. */
export function twoByTwo(): tf.LayersModel {
  const a = tf.input({ shape: [4, 4, 1] })
  const b = tf.input({ shape: [4, 4, 1] })
  const outputs = [a, b].map(x => tf.layers.flatten().apply(x) as tf.SymbolicTensor)
  return tf.model({ inputs: [a, b], outputs })
}
