import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { StoredTensor } from '../../data/formats/safetensors.js'
import { restoreTensor, storeTensor } from '../stored-tensors.js'
import { JointAdam } from './joint-adam.js'
import { isNormalized, NormalizedGradientDescent } from './normalized-gradient-descent.js'
import { checkOptimizerOptions, type OptimizerOptions } from './optimizer-options.js'
import { variableGroups, variableRates } from './parameter-groups.js'

/** Named tensors of an optimizer: its counter, and its state for every trainable weight. */
export type OptimizerSlots = readonly (readonly [name: string, tensor: StoredTensor])[]

/**
 * Creates an optimizer.
 *
 * - `sgd`: w <- w - rate g
 * - `momentum`: a <- momentum a + g, w <- w - rate a
 * - `adam`: Kingma and Ba 2015, with decays 0.9 and 0.999
 * - `adamw`: the same; what makes it Loshchilov and Hutter's (2019) is its weight decay
 * - `normalized-gd`: {@link NormalizedGradientDescent}; the only one that takes `layerRates` and `l2` into account itself,
 *   for the others `train` does, as it does weight decay, clipping and schedules
 *
 * @param model for `normalized-gd`: the model whose weights it steps; its trainable weights must not change afterwards.
 *   Without it, groups name variables instead of weights of layers.
 * @throws RangeError when the name is unknown, a number is out of its range, a setting is given to an optimizer that does not
 *   have it, or groups and rates do not fit the model
 */
export function createOptimizer(options: OptimizerOptions, model?: tfl.LayersModel): tf.Optimizer {
  checkOptimizerOptions(options)
  const { name, learningRate, momentum } = options
  switch (name) {
    case 'sgd':
      return tf.train.sgd(learningRate)
    case 'momentum':
      return tf.train.momentum(learningRate, momentum ?? 0.9)
    case 'adam':
    case 'adamw':
      // Without a value tfjs takes one of the backend's, which differs from backend to backend.
      return new JointAdam(learningRate, 0.9, 0.999, options.epsilon ?? 1e-7)
    case 'normalized-gd':
      return normalizedGradientDescent(options, model)
  }
}

function normalizedGradientDescent(
  { learningRate, momentum = 0, norm = 'frobenius', l2 = 0, ...options }: OptimizerOptions,
  model: tfl.LayersModel | undefined,
): NormalizedGradientDescent {
  const own = { learningRate, momentum, norm, l2 }
  if (model) {
    const rates = variableRates(model, options.layerRates ?? [])
    return new NormalizedGradientDescent({ ...own, groups: variableGroups(model, options.groups), rates })
  }
  const { groups, layerRates = [] } = options
  if (!groups || layerRates.length > 0) {
    throw new RangeError(
      'optimizer: normalized-gd must be created with its model, or with groups of variables and without layerRates, ' +
        `got ${groups?.length ?? 0} groups and ${layerRates.length} rates`,
    )
  }
  const named = groups.map(({ weights, parts }) => ({ variables: weights, parts }))
  return new NormalizedGradientDescent({ ...own, groups: named })
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
  const shapes = slotShapes(optimizer, variables)
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

function slotShapes(
  optimizer: tf.Optimizer,
  variables: readonly tf.Tensor[],
): readonly (readonly number[])[] {
  if (isNormalized(optimizer)) return optimizer.slotShapes
  const name = optimizer.getClassName()
  const perVariable = name === 'Adam' ? 2 : name === 'Momentum' ? 1 : 0
  return Array.from({ length: perVariable }, () => variables.map(({ shape }) => shape)).flat()
}

function lastSegment(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1)
}
