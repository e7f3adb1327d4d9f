import * as tf from '@tensorflow/tfjs-core'
import { layerOps } from './ops.js'

/** An activation and its derivative, for use inside an operation with a gradient of its own. */
export interface ActivationFunction {
  apply<T extends tf.Tensor>(x: T): T
  /** dL/dx from dL/dy, where y = apply(x). */
  gradient<T extends tf.Tensor>(dy: T, x: T, y: T): T
}

/** A tfjs-layers activation object. */
export interface LayerActivation {
  apply(x: tf.Tensor): tf.Tensor
  getClassName(): string
}

/** Activations of tfjs whose output in one channel depends on the other channels. */
const ACROSS_CHANNELS: readonly string[] = ['softmax', 'logSoftmax']

/** Whether an activation runs over all channels, not each by itself. */
export function mixesChannels(className: string): boolean {
  return ACROSS_CHANNELS.includes(className)
}

/**
 * Gives a tfjs-layers activation a derivative.
 *
 * @returns undefined for the linear activation
 */
export function activationFunction(activation: LayerActivation): ActivationFunction | undefined {
  const apply = <T extends tf.Tensor>(x: T) => activation.apply(x) as T
  switch (activation.getClassName()) {
    case 'linear':
      return undefined
    case 'relu':
      return { apply, gradient: (dy, _x, y) => layerOps().reluGradient(dy, y) }
    default:
      return {
        apply,
        gradient: (dy, x) => taped(() => tf.grad(t => activation.apply(t))(x, dy) as typeof dy),
      }
  }
}

/**
 * Runs a gradient inside a gradient. The engine holds one tape at a time and drops it after each gradient, so the outer
 * tape is put aside.
 */
function taped<T>(gradient: () => T): T {
  const { state } = tf.engine()
  const outerTape = state.activeTape
  try {
    return gradient()
  } finally {
    state.activeTape = outerTape
  }
}
