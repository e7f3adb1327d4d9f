import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { ExpertWeight } from '../../layers/moe/experts/expert.js'
import { type LayerUse, ownName, type WeightCut } from '../channel-rules.js'
import { numbersOfBlocks } from '../channels.js'

/** A weight whose axes are known. */
type CutWeight = Pick<ExpertWeight, 'name' | 'shape' | 'axes'>

/** The router of a layer of K experts, (h,w,C,K). */
export function routerWeight(shape: readonly number[]): CutWeight {
  return { name: 'router', shape, axes: { experts: 3, channels: 2 } }
}

/**
 * What is left of the weights of experts.
 *
 * @param kept experts that stay; all unless given
 * @param use of the layer; the channels that its input has lost are cut as well
 * @returns why they cannot be cut, as a text
 */
export function expertCuts(
  weights: readonly CutWeight[],
  numExperts: number,
  kept: readonly number[] | undefined,
  use: LayerUse,
): readonly WeightCut[] | string {
  const channels = use.inputs[0]
  const cuts: WeightCut[] = []
  for (const { name, shape, axes } of weights) {
    if (!axes) return `its experts do not say which axes of their weight ${name} shrink`
    const size = (shape[axes.experts] as number) / numExperts
    if (kept) cuts.push({ weight: name, axis: axes.experts, kept: numbersOfBlocks(kept, size) })
    if (channels && axes.channels !== undefined)
      cuts.push({ weight: name, axis: axes.channels, kept: channels.kept, summed: true })
  }
  return cuts
}

/** Weights that are no kernel. */
const OTHERS: readonly string[] = ['router', 'bias', 'gamma', 'beta', 'moving_mean', 'moving_variance']

/**
 * (K) Frobenius norms of the experts' kernels.
 *
 * @param weights of the experts; without axes they have no norms: NaN
 */
export function kernelNorms(
  layer: tfl.layers.Layer,
  weights: readonly CutWeight[],
  numExperts: number,
): tf.Tensor1D {
  return tf.tidy(() => {
    const squares = weights.flatMap(({ name, axes }) => {
      const weight = layer.weights.find(other => ownName(other) === name)
      if (OTHERS.includes(name) || !weight) return []
      const value = axes ? weight.read() : tf.fill(weight.shape as number[], Number.NaN)
      return [squaresOfBlocks(value, axes?.experts ?? 0, numExperts)]
    })
    return tf.sqrt(tf.addN(squares)) as tf.Tensor1D
  })
}

/** (K) sums of squares in the K equal blocks along an axis. */
export function squaresOfBlocks(value: tf.Tensor, axis: number, blocks: number): tf.Tensor1D {
  const shape = value.shape
  const side = (shape[axis] as number) / blocks
  const cut = tf.reshape(tf.square(value), [...shape.slice(0, axis), blocks, side, ...shape.slice(axis + 1)])
  const others = cut.shape.flatMap((_, i) => (i === axis ? [] : [i]))
  return tf.sum(cut, others)
}
