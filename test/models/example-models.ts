import * as tf from '@tensorflow/tfjs'
import { random } from '../../src/random.js'

/** A tensor of tfjs's symbolic kind out of a layer. */
export function applied(
  layer: tf.layers.Layer,
  x: tf.SymbolicTensor | tf.SymbolicTensor[],
): tf.SymbolicTensor {
  return layer.apply(x) as tf.SymbolicTensor
}

/** Seeded numbers of N(0, 1) for every weight, variances made positive: as if the model had been trained. */
export function fillWeights(model: tf.LayersModel, seed = 1): tf.LayersModel {
  const source = random(seed, 'weights')
  for (const weight of model.weights) {
    const scale = weight.shape.length > 1 ? 0.3 : 0.1
    const numbers = Float32Array.from({ length: tf.util.sizeFromShape(weight.shape as number[]) }, () => {
      const number = source.normal() * scale
      return weight.originalName.endsWith('moving_variance') ? 0.5 + Math.abs(number) : number
    })
    const value = tf.tensor(numbers, weight.shape as number[])
    weight.write(value)
    value.dispose()
  }
  return model
}

/** Seeded numbers in [0, 1) of a shape. */
export function uniform(shape: number[], seed = 1): tf.Tensor {
  const source = random(seed, 'uniform')
  return tf.tensor(Float32Array.from({ length: tf.util.sizeFromShape(shape) }, source.next), shape)
}

/** Convolutions with activation and bias, pooling, dense layers: a sequential model. */
export function vggLike(): tf.LayersModel {
  const conv = (name: string, filters: number, more = {}) =>
    tf.layers.conv2d({ name, filters, kernelSize: 3, padding: 'same', activation: 'relu', ...more })
  return fillWeights(
    tf.sequential({
      name: 'vgg',
      layers: [
        conv('conv1', 8, { inputShape: [16, 16, 3] }),
        conv('conv2', 8),
        tf.layers.maxPooling2d({ poolSize: 2, name: 'pool1' }),
        conv('conv3', 16, { kernelRegularizer: tf.regularizers.l2({ l2: 0.01 }), biasConstraint: 'nonNeg' }),
        conv('conv4', 16),
        tf.layers.maxPooling2d({ poolSize: 2, name: 'pool2' }),
        tf.layers.flatten({ name: 'flat' }),
        tf.layers.dropout({ rate: 0.5, name: 'drop' }),
        tf.layers.dense({ units: 5, activation: 'softmax', name: 'head' }),
      ],
    }),
  )
}

/** Depthwise and 1x1 convolutions with BatchNorm and ReLU6, a convolution as the head: a functional model. */
export function mobileNetLike(): tf.LayersModel {
  const norm = (name: string, x: tf.SymbolicTensor) =>
    applied(
      tf.layers.reLU({ maxValue: 6, name: `${name}_relu` }),
      applied(tf.layers.batchNormalization({ name: `${name}_bn` }), x),
    )
  const input = tf.input({ shape: [32, 32, 3], name: 'image' })
  let x = norm(
    'conv1',
    applied(
      tf.layers.conv2d({
        filters: 8,
        kernelSize: 3,
        strides: 2,
        padding: 'same',
        useBias: false,
        name: 'conv1',
      }),
      input,
    ),
  )
  for (const [index, filters] of [16, 32].entries()) {
    const name = `block${index + 1}`
    const depthwise = tf.layers.depthwiseConv2d({
      kernelSize: 3,
      strides: index + 1,
      padding: 'same',
      useBias: false,
      name: `${name}_dw`,
    })
    x = norm(`${name}_dw`, applied(depthwise, x))
    const pointwise = tf.layers.conv2d({
      filters,
      kernelSize: 1,
      padding: 'valid',
      useBias: false,
      name: `${name}_pw`,
    })
    x = norm(`${name}_pw`, applied(pointwise, x))
  }
  x = applied(tf.layers.globalAveragePooling2d({ name: 'pool' }), x)
  x = applied(tf.layers.reshape({ targetShape: [1, 1, 32], name: 'reshape1' }), x)
  x = applied(tf.layers.conv2d({ filters: 7, kernelSize: 1, padding: 'same', name: 'predictions' }), x)
  x = applied(tf.layers.reshape({ targetShape: [7], name: 'reshape2' }), x)
  x = applied(tf.layers.activation({ activation: 'softmax', name: 'softmax' }), x)
  return fillWeights(tf.model({ inputs: input, outputs: x, name: 'mobilenet' }))
}

/** A model with a model in it, which holds the last convolution. */
export function nestedModel(): tf.LayersModel {
  const inner = tf.input({ shape: [8, 8, 3], name: 'inner_image' })
  const conv = tf.layers.conv2d({ filters: 4, kernelSize: 3, padding: 'same', name: 'conv' })
  const backbone = tf.model({
    inputs: inner,
    outputs: applied(tf.layers.reLU({ name: 'relu' }), applied(conv, inner)),
    name: 'backbone',
  })
  const image = tf.input({ shape: [8, 8, 3], name: 'image' })
  const features = backbone.apply(image) as tf.SymbolicTensor
  const pooled = applied(tf.layers.globalAveragePooling2d({ name: 'pool' }), features)
  const head = applied(tf.layers.dense({ units: 3, name: 'head' }), pooled)
  return fillWeights(tf.model({ inputs: image, outputs: head, name: 'nested' }))
}

/** Two images through one shared convolution and one shared model, and numbers beside them; two outputs. */
export function siameseModel(): tf.LayersModel {
  const inner = tf.input({ shape: [8, 8, 4], name: 'inner_map' })
  const deep = tf.layers.conv2d({ filters: 4, kernelSize: 3, padding: 'same', name: 'deep' })
  const tower = tf.model({ inputs: inner, outputs: applied(deep, inner), name: 'tower' })
  const left = tf.input({ shape: [8, 8, 3], name: 'left' })
  const right = tf.input({ shape: [8, 8, 3], name: 'right' })
  const numbers = tf.input({ shape: [2], name: 'numbers' })
  const shared = tf.layers.conv2d({ filters: 4, kernelSize: 3, padding: 'same', name: 'shared' })
  const [a, b] = [left, right].map(image => tower.apply(applied(shared, image)) as tf.SymbolicTensor) as [
    tf.SymbolicTensor,
    tf.SymbolicTensor,
  ]
  const flat = [a, b].map((map, i) => applied(tf.layers.flatten({ name: `flat${i}` }), map))
  const joined = applied(tf.layers.concatenate({ name: 'joined' }), [...flat, numbers])
  const score = applied(tf.layers.dense({ units: 2, name: 'score' }), joined)
  const sum = applied(tf.layers.add({ name: 'sum' }), [a, b])
  return fillWeights(tf.model({ inputs: [left, right, numbers], outputs: [score, sum], name: 'siamese' }))
}

/** The outputs of a model as plain numbers, one list an output. */
export function outputsOf(model: tf.LayersModel, inputs: tf.Tensor[]): number[][] {
  return tf.tidy(() => ([model.predict(inputs)].flat() as tf.Tensor[]).map(output => [...output.dataSync()]))
}
