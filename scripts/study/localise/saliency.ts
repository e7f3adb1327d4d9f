import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { pixelTensor } from '../../../src/layers/pixels.js'
import type { ImageShape, Size2D } from '../../../src/shapes.js'

/** How much each cell of an image speaks for a class. */
export interface SaliencyMap {
  /** (rows * columns). */
  readonly values: Float32Array
  /** Rows and columns. */
  readonly map: Size2D
}

/** What is explained: the pixels of one image, and a class. */
export interface Explained {
  /** (height, width, channels), 0..255. */
  readonly pixels: Uint8Array
  readonly shape: ImageShape
  readonly label: number
}

/**
 * Grad-CAM at the last map of a network: the channels of the map, each weighted by the mean gradient of the class's logit, summed,
 * and 0 where the sum is negative.
 *
 * Reference: Selvaraju et al., Grad-CAM (ICCV 2017), eqs. 1 and 2.
 *
 * @param model whose layers after `lastMap` are a chain to `logits`
 */
export async function gradCam(
  model: tfl.LayersModel,
  lastMap: string,
  { pixels, shape, label }: Explained,
): Promise<SaliencyMap> {
  const after = model.layers.slice(model.layers.findIndex(({ name }) => name === lastMap) + 1)
  const head = after.slice(0, after.findIndex(({ name }) => name === 'logits') + 1)
  const features = tfl.model({
    inputs: model.inputs,
    outputs: model.getLayer(lastMap).output as tfl.SymbolicTensor,
  })
  const map = tf.tidy(() => {
    const activations = features.predict(pixelTensor(pixels, [1, ...shape])) as tf.Tensor4D
    const logit = (x: tf.Tensor): tf.Scalar => {
      const logits = head.reduce((value, layer) => layer.apply(value) as tf.Tensor, x) as tf.Tensor2D
      return tf.sum(tf.slice(logits, [0, label], [1, 1]))
    }
    const weights = tf.mean(tf.grad(logit)(activations), [1, 2], true)
    return tf.squeeze(tf.relu(tf.sum(tf.mul(weights, activations), 3)), [0]) as tf.Tensor2D
  })
  const values = (await map.data<'float32'>()).slice()
  map.dispose()
  return { values, map: [map.shape[0], map.shape[1]] }
}

/** Copies of an image that are computed at a time. */
const copiesAtOnce = 32

/** The windows that occlusion lays over an image. */
export interface OcclusionWindows {
  /** Rows and columns of windows. */
  readonly map: Size2D
  /** (windows, 4) top, left, height and width in pixels; what lies outside of the image is left out. */
  readonly boxes: Int32Array
}

/**
 * Occlusion: how much of the class's probability is lost when a window is painted in the mean brightness of the image.
 *
 * Reference: Zeiler and Fergus, Visualizing and understanding convolutional networks (ECCV 2014), section 4.2.
 *
 * @param model from (B,H,W,C) to probabilities
 */
export async function occlusion(
  model: tfl.LayersModel,
  { pixels, shape, label }: Explained,
  { map, boxes }: OcclusionWindows,
): Promise<SaliencyMap> {
  const mean = Math.round(pixels.reduce((sum, value) => sum + value, 0) / pixels.length)
  const windows = boxes.length / 4
  const probabilities: number[] = []
  const predict = async (copies: Uint8Array, count: number): Promise<void> => {
    const output = tf.tidy(() => {
      const answers = model.predict(pixelTensor(copies, [count, ...shape])) as tf.Tensor2D
      return tf.squeeze(tf.slice(answers, [0, label], [count, 1]), [1])
    })
    probabilities.push(...(await output.data()))
    output.dispose()
  }
  await predict(pixels, 1)
  for (let first = 0; first < windows; first += copiesAtOnce) {
    const count = Math.min(copiesAtOnce, windows - first)
    const copies = new Uint8Array(count * pixels.length)
    for (let copy = 0; copy < count; copy++) {
      const own = copies.subarray(copy * pixels.length, (copy + 1) * pixels.length)
      own.set(pixels)
      paint(own, shape, boxes.subarray(4 * (first + copy), 4 * (first + copy) + 4), mean)
    }
    await predict(copies, count)
  }
  const [whole = 0, ...occluded] = probabilities
  return { values: Float32Array.from(occluded, value => whole - value), map }
}

function paint(pixels: Uint8Array, [height, width, channels]: ImageShape, box: Int32Array, value: number) {
  const [top = 0, left = 0, rows = 0, columns = 0] = box
  const [from, to] = [Math.max(left, 0), Math.min(left + columns, width)]
  for (let y = Math.max(top, 0); y < Math.min(top + rows, height); y++) {
    pixels.fill(value, (y * width + from) * channels, (y * width + to) * channels)
  }
}
