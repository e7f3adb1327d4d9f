import * as tf from '@tensorflow/tfjs'
import { brightRows } from '../tasks.js'

const glorot = (seed: number) => tf.initializers.glorotUniform({ seed })

/**
 * Two convolutions with normalizations, a residual block with a convolution in its shortcut, pooling, dropout and logits: images 8x8x1,
 * three classes.
 */
export function residualNetwork(): tf.LayersModel {
  const input = tf.input({ shape: [8, 8, 1], name: 'image' })
  const conv = (name: string, seed: number, x: tf.SymbolicTensor, filters = 4) =>
    tf.layers
      .conv2d({ filters, kernelSize: 3, padding: 'same', kernelInitializer: glorot(seed), name })
      .apply(x) as tf.SymbolicTensor
  const norm = (name: string, x: tf.SymbolicTensor) =>
    tf.layers.batchNormalization({ name, momentum: 0.9 }).apply(x) as tf.SymbolicTensor
  const relu = (name: string, x: tf.SymbolicTensor) => tf.layers.reLU({ name }).apply(x) as tf.SymbolicTensor
  let x = relu('relu1', norm('norm1', conv('conv1', 1, input)))
  x = relu('relu2', norm('norm2', conv('conv2', 2, x)))
  const branch = conv('branch', 3, x, 6)
  const shortcut = conv('shortcut', 4, x, 6)
  x = tf.layers.add({ name: 'sum' }).apply([branch, shortcut]) as tf.SymbolicTensor
  x = tf.layers.globalAveragePooling2d({ name: 'pool' }).apply(x) as tf.SymbolicTensor
  x = tf.layers.dropout({ rate: 0.3, name: 'dropout' }).apply(x) as tf.SymbolicTensor
  const logits = tf.layers.dense({ units: 3, kernelInitializer: glorot(5), name: 'logits' }).apply(x)
  return tf.model({ inputs: input, outputs: logits as tf.SymbolicTensor, name: 'residual' })
}

/** A run over images of {@link residualNetwork}. */
export const residualTask = {
  train: brightRows(30, 3, 1, 8),
  test: brightRows(15, 3, 2, 8),
  epochs: 2,
  batchSize: 8,
  optimizer: { name: 'adam', learningRate: 0.02 },
  seed: 5,
} as const

/** The values of a layer's weights. */
export function layerValues(model: tf.LayersModel, name: string): number[][] {
  return model
    .getLayer(name)
    .getWeights()
    .map(weight => [...weight.dataSync()])
}
