import * as tf from '@tensorflow/tfjs'
import { type PatchMoE, patchMoE } from '../../src/layers/moe/patch-moe.js'
import type { PatchMoEOptions } from '../../src/layers/moe/patch-moe-options.js'
import { random } from '../../src/random.js'
import { size2D } from '../../src/shapes.js'
import type { BruteForceInputs, BruteForceRule } from './brute-force.js'

/** A layer with random weights, and the same numbers for the brute-force loops. */
export interface Case {
  readonly name: string
  readonly layer: PatchMoE
  readonly x: tf.Tensor4D
  readonly inputs: BruteForceInputs
  readonly rule: BruteForceRule
}

export interface CaseOptions extends Partial<PatchMoEOptions> {
  readonly shape?: readonly [number, number, number, number]
  readonly training?: boolean
  readonly curve?: (value: number) => number
}

export function caseOf(options: CaseOptions, seed = 1): Case {
  const { shape = [2, 4, 8, 3], training = true, curve, ...given } = options
  const settings: PatchMoEOptions = { numExperts: 2, patchesPerExpert: 3, patchSize: 2, filters: 4, ...given }
  const layer = patchMoE(settings)
  const numbers = random(seed, 'case')
  // Rounded to float32, so that both sides see the same numbers.
  const draw = (count: number, offset = 0) =>
    Float64Array.from({ length: count }, () => Math.fround(numbers.normal() + offset))
  const x = draw(shape.reduce((product, side) => product * side, 1))
  layer.build([null, ...shape.slice(1)])
  const weights: Record<string, Float64Array> = {}
  const tensors = layer.weights.map(weight => {
    const name = weight.originalName.split('/').at(-1) as string
    const positive = name === 'moving_variance' || name === 'gamma'
    const values = draw(weight.shape.reduce<number>((product, side) => product * (side as number), 1))
    weights[name] = positive ? values.map(value => Math.fround(Math.abs(value) + 0.5)) : values
    return tf.tensor(Float32Array.from(weights[name] as Float64Array), weight.shape as number[])
  })
  layer.setWeights(tensors)
  tf.dispose(tensors)
  const { moving_mean, moving_variance } = weights
  return {
    name: JSON.stringify(options),
    layer,
    x: tf.tensor4d(Float32Array.from(x), [...shape]),
    inputs: {
      shape,
      x,
      router: weights.router as Float64Array,
      kernel: weights.kernel as Float64Array,
      ...(weights.bias ? { bias: weights.bias } : {}),
      ...(weights.gamma ? { gamma: weights.gamma, beta: weights.beta as Float64Array } : {}),
      ...(!training && moving_mean && moving_variance
        ? { movingMean: moving_mean, movingVariance: moving_variance }
        : {}),
    },
    rule: {
      numExperts: settings.numExperts,
      patchesPerExpert: settings.patchesPerExpert,
      patch: size2D(settings.patchSize, 'case'),
      kernel: layer.kernelSize,
      filters: settings.filters,
      border: layer.border,
      gate: layer.gate,
      gateScale: layer.gateScale,
      preActivation: layer.preActivation,
      epsilon: layer.epsilon,
      ...(curve ? { activation: curve } : {}),
    },
  }
}

export function applyCase({ layer, x }: Case, training: boolean): tf.Tensor4D {
  return layer.apply(x, { training }) as tf.Tensor4D
}
