import { readFileSync } from 'node:fs'
import * as tf from '@tensorflow/tfjs'
import { readSafetensors } from '../../src/data/formats/safetensors.js'
import type { ImageSet } from '../../src/data/image-set.js'
import { patchMoE } from '../../src/layers/moe/patch-moe.js'
import type { ReferenceRouters } from '../../src/prune/index.js'
import { applied } from '../models/example-models.js'

/** Tensors of one golden file by name, as plain numbers with their shape. */
export type Golden = (name: string) => { readonly shape: readonly number[]; readonly data: readonly number[] }

/** Numbers of an independent reference; see test/goldens/README.md. */
export function goldenOf(name: string): Golden {
  const { tensors } = readSafetensors(
    readFileSync(new URL(`../goldens/${name}.safetensors`, import.meta.url)),
    name,
  )
  return key => {
    const tensor = tensors.get(key)
    if (!tensor) throw new Error(`${name} has no tensor ${key}`)
    return { shape: [...tensor.shape], data: Array.from(tensor.data as ArrayLike<number>) }
  }
}

/** One of the golden numbers as a tensor. */
export function tensorOf(golden: Golden, key: string): tf.Tensor {
  const { data, shape } = golden(key)
  return tf.tensor([...data], [...shape])
}

/** The images and labels of the file, as a set of floats. */
export function imagesOf(golden: Golden, numClasses = 3): ImageSet {
  const { shape, data } = golden('x')
  return {
    images: Float32Array.from(data),
    labels: Int32Array.from(golden('labels').data),
    count: shape[0] as number,
    shape: shape.slice(1) as [number, number, number],
    classNames: Array.from({ length: numClasses }, (_, label) => `class ${label}`),
  }
}

/** The routers before fine-tuning. */
export function pretrained(golden: Golden): ReferenceRouters {
  const { shape, data } = golden('pretrained_router')
  return { path: 'pretrained', routers: { experts: { shape, values: Float32Array.from(data) } } }
}

/** Sets a layer's weights, by their names in the file. */
function fill(layer: tf.layers.Layer, golden: Golden, names: readonly string[]): void {
  const values = names.map(name => tensorOf(golden, name))
  layer.setWeights(values)
  tf.dispose(values)
}

const norm = ['bn_gamma', 'bn_beta', 'bn_mean', 'bn_variance']

/** PatchMoE -> BatchNorm -> ReLU -> global average -> Dense. */
export function denseNetwork(golden: Golden): tf.LayersModel {
  const experts = patchMoE({
    name: 'experts',
    numExperts: 4,
    patchesPerExpert: 3,
    patchSize: 2,
    filters: 8,
    kernelSize: 1,
    preActivation: 'batch-norm-relu',
  })
  const bn = tf.layers.batchNormalization({ name: 'bn', epsilon: 1e-3 })
  const dense = tf.layers.dense({ name: 'dense', units: 3 })
  const image = tf.input({ shape: [6, 6, 3] })
  const pooled = applied(
    tf.layers.globalAveragePooling2d({ name: 'pool' }),
    applied(tf.layers.reLU({ name: 'relu' }), applied(bn, applied(experts, image))),
  )
  const model = tf.model({ inputs: image, outputs: applied(dense, pooled) })
  fill(experts, golden, ['router', 'kernel', 'gamma', 'beta', 'moving_mean', 'moving_variance'])
  fill(bn, golden, norm)
  fill(dense, golden, ['dense_kernel', 'dense_bias'])
  return model
}

/** PatchMoE -> BatchNorm -> ReLU -> Conv2D 3x3 'same' -> ReLU -> global average -> Dense. */
export function convolutionNetwork(golden: Golden): tf.LayersModel {
  const experts = patchMoE({
    name: 'experts',
    numExperts: 4,
    patchesPerExpert: 2,
    patchSize: 3,
    filters: 8,
    kernelSize: 3,
    useBias: true,
  })
  const bn = tf.layers.batchNormalization({ name: 'bn', epsilon: 1e-3 })
  const conv = tf.layers.conv2d({
    name: 'conv',
    filters: 5,
    kernelSize: 3,
    padding: 'same',
    activation: 'relu',
  })
  const dense = tf.layers.dense({ name: 'dense', units: 3 })
  const image = tf.input({ shape: [6, 6, 3] })
  const rectified = applied(tf.layers.reLU({ name: 'relu' }), applied(bn, applied(experts, image)))
  const pooled = applied(tf.layers.globalAveragePooling2d({ name: 'pool' }), applied(conv, rectified))
  const model = tf.model({ inputs: image, outputs: applied(dense, pooled) })
  fill(experts, golden, ['router', 'kernel', 'bias'])
  fill(bn, golden, norm)
  fill(conv, golden, ['conv_kernel', 'conv_bias'])
  fill(dense, golden, ['dense_kernel', 'dense_bias'])
  return model
}
