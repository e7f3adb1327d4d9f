import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { isPositiveInteger } from '../shapes.js'

/**
 * Reads a choice among names.
 *
 * @throws RangeError listing the names
 */
export function oneOf<T extends string>(allowed: readonly T[], value: unknown, where: string): T {
  if (allowed.includes(value as T)) return value as T
  const names = allowed.map(name => `'${name}'`).join(', ')
  throw new RangeError(`${where} must be one of ${names}, got ${JSON.stringify(value)}`)
}

/**
 * Checks that a layer's input is one feature map of known size.
 *
 * @returns H, W, C
 * @throws TypeError when there are several inputs; RangeError when the rank is not 4 or H, W or C is unknown or zero
 */
export function checkMapShape(
  inputShape: tfl.Shape | tfl.Shape[],
  where: string,
): [height: number, width: number, channels: number] {
  if (Array.isArray(inputShape[0])) {
    if (inputShape.length === 1) return checkMapShape(inputShape[0], where)
    throw new TypeError(`${where}: input must be one tensor, got ${inputShape.length}`)
  }
  const [, ...map] = inputShape as tfl.Shape
  const text = `(${inputShape.map(side => side ?? 'null').join(', ')})`
  if (map.length !== 3) {
    throw new RangeError(
      `${where}: input must have rank 4 (batch, height, width, channels), got shape ${text}`,
    )
  }
  if (!map.every(side => Number.isInteger(side) && (side as number) >= 1)) {
    throw new RangeError(
      `${where}: height, width and channels of the input must be known and positive, got shape ${text}`,
    )
  }
  return map as [number, number, number]
}

/**
 * Reads the one input of a layer.
 *
 * @param where the layer's class name
 * @throws Error as {@link checkOneTensorFlow}
 */
export function layerInput(inputs: tf.Tensor | tf.Tensor[], where: string): tf.Tensor4D {
  const [input] = Array.isArray(inputs) ? inputs : [inputs]
  checkOneTensorFlow(input, where)
  return input as tf.Tensor4D
}

/**
 * Checks that a tensor comes from the copy of TensorFlow.js that this library uses. Copies share one
 * engine, so a mixture of them works for a while and then fails with an error that points to another cause.
 *
 * @throws Error explaining how to install a single copy
 */
export function checkOneTensorFlow(tensor: unknown, where: string): void {
  // tfjs itself reports a value that is not a tensor.
  if (typeof tensor !== 'object' || tensor === null || !('shape' in tensor)) return
  // instanceof would not do: tfjs makes it true for every object that has the methods of a tensor.
  const isOwn = [tf.Tensor, tfl.SymbolicTensor].some(({ prototype }) =>
    Object.prototype.isPrototypeOf.call(prototype, tensor),
  )
  if (isOwn) return
  throw new Error(
    `${where}: TensorFlow.js must be loaded once, got two copies: the input belongs to another one than patch-moe's ` +
      `(@tensorflow/tfjs-core ${tf.version_core}). Give every package the same version of it; ` +
      "'npm ls @tensorflow/tfjs-core' lists the copies",
  )
}

/**
 * Reads a count.
 *
 * @param where the caller's name and the option's
 * @throws RangeError when it is not an integer of at least 1
 */
export function positiveInteger(value: number, where: string): number {
  if (isPositiveInteger(value)) return value
  throw new RangeError(`${where} must be a positive integer, got ${value}`)
}
