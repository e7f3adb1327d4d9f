import * as tf from '@tensorflow/tfjs-core'
import type { StoredTensor } from '../data/formats/safetensors.js'
import { checkOptionNames, type OptionNames } from '../known-options.js'
import { restoreTensor, storeTensor } from './stored-tensors.js'

/** A learning rate of some layers. */
export interface LayerRate {
  /** Names or paths of layers, with `*` and `?`. */
  readonly pattern: string
  /** Step length, greater than 0. */
  readonly learningRate: number
}

/** The optimizers that are known by name. */
export const optimizerNames = ['sgd', 'momentum', 'adam'] as const

/** Name of an optimizer. */
export type OptimizerName = (typeof optimizerNames)[number]

/** An optimizer and its settings, as data. */
export interface OptimizerOptions {
  readonly name: OptimizerName
  /** Step length, greater than 0. */
  readonly learningRate: number
  /** Share of the last direction that is kept, in [0, 1); for `momentum` only, where it is 0.9 unless given. */
  readonly momentum?: number
  /** Other learning rates of some layers; where several match a layer, the last one holds. */
  readonly layerRates?: readonly LayerRate[]
}

const optionNames = {
  name: true,
  learningRate: true,
  momentum: true,
  layerRates: true,
} as const satisfies OptionNames<OptimizerOptions>

const rateNames = {
  pattern: true,
  learningRate: true,
} as const satisfies OptionNames<LayerRate>

/** Named tensors of an optimizer: its counter, and its state for every trainable weight. */
export type OptimizerSlots = readonly (readonly [name: string, tensor: StoredTensor])[]

/**
 * Creates an optimizer.
 *
 * - `sgd`: w <- w - rate g
 * - `momentum`: a <- momentum a + g, w <- w - rate a
 * - `adam`: Kingma and Ba 2015, with decays 0.9 and 0.999
 *
 * @throws RangeError when the name is unknown, the learning rate is not above 0, or the momentum is outside [0, 1) or
 * given to another optimizer
 */
export function createOptimizer(options: OptimizerOptions): tf.Optimizer {
  checkOptionNames('optimizer', options, optionNames)
  for (const rate of options.layerRates ?? []) checkOptionNames('optimizer: layerRates', rate, rateNames)
  const { name, learningRate, momentum } = options
  if (!Number.isFinite(learningRate) || learningRate <= 0) {
    throw new RangeError(`optimizer: learningRate must be greater than 0, got ${learningRate}`)
  }
  if (momentum !== undefined && name !== 'momentum') {
    throw new RangeError(`optimizer: momentum must be left out for ${name}, got ${momentum}`)
  }
  if (momentum !== undefined && !(momentum >= 0 && momentum < 1)) {
    throw new RangeError(`optimizer: momentum must be in [0, 1), got ${momentum}`)
  }
  switch (name) {
    case 'sgd':
      return tf.train.sgd(learningRate)
    case 'momentum':
      return tf.train.momentum(learningRate, momentum ?? 0.9)
    case 'adam':
      return tf.train.adam(learningRate)
    default:
      throw new RangeError(`optimizer: name must be ${optimizerNames.join(', ')}, got ${name as string}`)
  }
}

/**
 * Copies the state of an optimizer to memory, exactly.
 *
 * @returns tensors in the optimizer's own order
 */
export async function readSlots(optimizer: tf.Optimizer): Promise<OptimizerSlots> {
  const named = await optimizer.getWeights()
  const counter = named[0]?.tensor
  try {
    const slots: [string, StoredTensor][] = []
    for (const [index, { name, tensor }] of [...named, ...adamPowers(optimizer)].entries()) {
      slots.push([`${String(index).padStart(4, '0')}/${lastSegment(name)}`, await storeTensor(tensor)])
    }
    return slots
  } finally {
    // The counter is made anew at every call; the others are the optimizer's own variables.
    counter?.dispose()
  }
}

/**
 * Gives an optimizer that has not stepped yet the state of another of the same kind.
 *
 * @param variables the trainable weights, in the order in which they are stepped
 * @throws RangeError when number or shapes of the slots do not belong to these weights
 */
export async function restoreSlots(
  optimizer: tf.Optimizer,
  slots: OptimizerSlots,
  variables: readonly tf.Tensor[],
): Promise<void> {
  const powers = adamPowers(optimizer)
  checkSlots(optimizer, slots, variables, powers.length)
  const own = slots.slice(0, slots.length - powers.length)
  const named = own.map(([name, stored]) => ({ name, tensor: restoreTensor(stored) }))
  try {
    await optimizer.setWeights(named)
  } finally {
    for (const { tensor } of named) tensor.dispose()
  }
  // When Adam is restored, it computes its powers with pow(), which rounds differently from repeated products.
  for (const [index, { tensor }] of powers.entries()) {
    const [, stored] = slots[own.length + index] as OptimizerSlots[number]
    tf.tidy(() => tensor.assign(restoreTensor(stored)))
  }
}

/** Frees everything an optimizer holds. */
export function disposeOptimizer(optimizer: tf.Optimizer): void {
  optimizer.dispose()
  // tfjs's momentum optimizer does not dispose the scalar of its parent class.
  const { c } = optimizer as unknown as { c?: tf.Scalar }
  if (c && !c.isDisposed) c.dispose()
}

/** Adam's running powers of its two decays, which tfjs keeps private and does not save. */
function adamPowers(optimizer: tf.Optimizer): { name: string; tensor: tf.Variable }[] {
  const { accBeta1, accBeta2 } = optimizer as unknown as { accBeta1?: tf.Variable; accBeta2?: tf.Variable }
  if (!accBeta1 || !accBeta2) return []
  return [
    { name: 'beta1_power', tensor: accBeta1 },
    { name: 'beta2_power', tensor: accBeta2 },
  ]
}

function checkSlots(
  optimizer: tf.Optimizer,
  slots: OptimizerSlots,
  variables: readonly tf.Tensor[],
  powers: number,
): void {
  const name = optimizer.getClassName()
  const perVariable = name === 'Adam' ? 2 : name === 'Momentum' ? 1 : 0
  const shapes = Array.from({ length: perVariable }, () => variables.map(({ shape }) => shape)).flat()
  const expected = [[], ...shapes, ...Array.from({ length: powers }, () => [])]
  if (slots.length !== expected.length) {
    throw new RangeError(
      `optimizer: state of ${name} must have ${expected.length} tensors for ${variables.length} weights, got ${slots.length}`,
    )
  }
  for (const [index, shape] of expected.entries()) {
    const [slot, stored] = slots[index] as OptimizerSlots[number]
    if (stored.shape.join() !== shape.join()) {
      throw new RangeError(
        `optimizer: state ${slot} of ${name} must have shape [${shape.join(', ')}], got [${stored.shape.join(', ')}]`,
      )
    }
  }
}

function lastSegment(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1)
}
