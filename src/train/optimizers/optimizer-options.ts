import { checkOptionNames, type OptionNames } from '../../known-options.js'
import { isPositiveInteger } from '../../shapes.js'
import { GRADIENT_NORMS, type GradientNorm } from './normalized-gradient-descent.js'
import { checkScheduleOptions, type ScheduleOptions } from './schedules.js'

/** A learning rate of some weights. */
export interface LayerRate {
  /**
   * Names or paths of layers, or of single weights of layers, with `*` and `?`: `conv1`, `backbone/*`, `sample_moe/router`,
   * `*\/bias`.
   */
  readonly pattern: string
  /** Step length, greater than 0. */
  readonly learningRate: number
}

/** Weights that `normalized-gd` normalises together. */
export interface WeightGroup {
  /** Names or paths of layers, or of single weights of layers, with `*` and `?`, as in {@link LayerRate}. */
  readonly weights: readonly string[]
  /**
   * In how many equal consecutive parts the last axis of each weight is cut, one an expert; part i of all of them is
   * normalised together. 1 for weights that are one whole.
   */
  readonly parts: number
}

/** The optimizers that are known by name. */
export const optimizerNames = ['sgd', 'momentum', 'adam', 'adamw', 'normalized-gd'] as const

/** Name of an optimizer. */
export type OptimizerName = (typeof optimizerNames)[number]

/** An optimizer and its settings, as data. */
export interface OptimizerOptions extends ScheduleOptions {
  readonly name: OptimizerName
  /** Step length, greater than 0. */
  readonly learningRate: number
  /**
   * Share of the last direction that is kept, in [0, 1); for `momentum`, where it is 0.9 unless given, and `normalized-gd`,
   * where it is 0.
   */
  readonly momentum?: number
  /** What `normalized-gd` divides gradients by; `frobenius` unless given, the l2 norm of a part's weights as one vector. */
  readonly norm?: GradientNorm
  /** What `normalized-gd` normalises together; unless given, what the model's layers say: one part an expert. */
  readonly groups?: readonly WeightGroup[]
  /**
   * Other learning rates of some layers or weights; where several match a weight, the last one holds. For `normalized-gd`
   * also the rates of the weights in no group, which take plain gradient descent.
   */
  readonly layerRates?: readonly LayerRate[]
  /**
   * L2 penalty, >= 0; 0 unless given. l2 times the weights is added to the gradient of every trainable weight, for
   * `normalized-gd` to the normalised gradient. (PyTorch's SGD and Adam call it `weight_decay`.) The reported loss does not
   * contain it.
   */
  readonly l2?: number
  /**
   * Decoupled weight decay, >= 0 (Loshchilov and Hutter 2019): before each step a weight loses its learning rate times this share
   * of itself, which the gradient and what the optimizer gathers do not see. 0.01 for `adamw`, 0 for the others unless given; not
   * for `normalized-gd`, whose l2 is apart from the gradient's length already. Biases and the weights of normalizations do not
   * decay, nor does a weight that the loss does not depend on.
   */
  readonly weightDecay?: number
  /**
   * What `adam` and `adamw` add to the root of the second moment, > 0; 1e-7 unless given, on every backend. (PyTorch has 1e-8.)
   */
  readonly epsilon?: number
  /**
   * The greatest norm, above 0, that the gradients of all weights have together as one vector, l2 penalty left out; larger ones are
   * scaled down to it. Without it they are taken as they are. Not for `normalized-gd`.
   */
  readonly clipNorm?: number
}

const optionNames = {
  name: true,
  learningRate: true,
  momentum: true,
  norm: true,
  groups: true,
  layerRates: true,
  l2: true,
  weightDecay: true,
  epsilon: true,
  schedule: true,
  warmupEpochs: true,
  decayEpochs: true,
  decayRate: true,
  patienceEpochs: true,
  clipNorm: true,
} as const satisfies OptionNames<OptimizerOptions>

const rateNames = {
  pattern: true,
  learningRate: true,
} as const satisfies OptionNames<LayerRate>

const groupNames = {
  weights: true,
  parts: true,
} as const satisfies OptionNames<WeightGroup>

const otherThanNormalized = optimizerNames.filter(name => name !== 'normalized-gd')

/** The optimizers that have a setting, of those that not all have. */
const takers = {
  momentum: ['momentum', 'normalized-gd'],
  norm: ['normalized-gd'],
  epsilon: ['adam', 'adamw'],
  weightDecay: otherThanNormalized,
  clipNorm: otherThanNormalized,
} as const satisfies Partial<Record<keyof OptimizerOptions, readonly OptimizerName[]>>

/** The settings among some that an optimizer does not have. */
export function settingsNotOf(name: OptimizerName): readonly (keyof typeof takers)[] {
  return (Object.keys(takers) as (keyof typeof takers)[]).filter(
    setting => !(takers[setting] as readonly OptimizerName[]).includes(name),
  )
}

function refuseSettingsNotOf(options: OptimizerOptions): void {
  const { name } = options
  for (const setting of settingsNotOf(name)) {
    const value = options[setting]
    if (value === undefined) continue
    const instead = setting === 'weightDecay' ? ' (it has l2)' : ''
    throw new RangeError(`optimizer: ${setting} must be left out for ${name}, got ${value}${instead}`)
  }
}

/**
 * Checks the settings of an optimizer, as far as they do not depend on a model.
 *
 * @throws RangeError when the name is unknown, a number is out of its range, or a setting is given to an optimizer that does
 * not have it
 */
export function checkOptimizerOptions(options: OptimizerOptions): void {
  checkOptionNames('optimizer', options, optionNames)
  for (const rate of options.layerRates ?? []) checkOptionNames('optimizer: layerRates', rate, rateNames)
  const { name, learningRate, momentum, norm, groups, l2 = 0 } = options
  if (!optimizerNames.includes(name)) {
    throw new RangeError(`optimizer: name must be ${optimizerNames.join(', ')}, got ${name as string}`)
  }
  if (!Number.isFinite(learningRate) || learningRate <= 0) {
    throw new RangeError(`optimizer: learningRate must be greater than 0, got ${learningRate}`)
  }
  refuseSettingsNotOf(options)
  if (momentum !== undefined && !(momentum >= 0 && momentum < 1)) {
    throw new RangeError(`optimizer: momentum must be in [0, 1), got ${momentum}`)
  }
  if (!(l2 >= 0 && l2 < Infinity)) {
    throw new RangeError(`optimizer: l2 must be a number of at least 0, got ${l2}`)
  }
  checkDecay(options)
  checkEpsilon(options)
  checkScheduleOptions(options)
  checkClipNorm(options)
  checkNorm(norm)
  if (groups) checkGroupOptions(name, groups)
}

function checkDecay({ weightDecay }: OptimizerOptions): void {
  if (weightDecay === undefined) return
  if (!(weightDecay >= 0 && weightDecay < Infinity)) {
    throw new RangeError(`optimizer: weightDecay must be a number of at least 0, got ${weightDecay}`)
  }
}

function checkEpsilon({ epsilon }: OptimizerOptions): void {
  if (epsilon === undefined) return
  if (!(epsilon > 0 && epsilon < Infinity)) {
    throw new RangeError(`optimizer: epsilon must be a number greater than 0, got ${epsilon}`)
  }
}

function checkClipNorm({ clipNorm }: OptimizerOptions): void {
  if (clipNorm === undefined) return
  if (!(clipNorm > 0 && clipNorm < Infinity)) {
    throw new RangeError(`optimizer: clipNorm must be a number greater than 0, got ${clipNorm}`)
  }
}

function checkNorm(norm: GradientNorm | undefined): void {
  if (norm === undefined || GRADIENT_NORMS.includes(norm)) return
  throw new RangeError(`optimizer: norm must be ${GRADIENT_NORMS.join(' or ')}, got ${norm as string}`)
}

function checkGroupOptions(name: OptimizerName, groups: readonly WeightGroup[]): void {
  if (name !== 'normalized-gd') {
    throw new RangeError(`optimizer: groups must be left out for ${name}, got ${groups.length} groups`)
  }
  if (groups.length === 0) throw new RangeError('optimizer: groups must hold at least 1 group, got 0')
  for (const [index, group] of groups.entries()) {
    const where = `optimizer: groups[${index}]`
    checkOptionNames(where, group, groupNames)
    if (!Array.isArray(group.weights) || group.weights.length === 0) {
      throw new RangeError(
        `${where}.weights must be a list of at least 1 name, got ${JSON.stringify(group.weights)}`,
      )
    }
    if (!isPositiveInteger(group.parts)) {
      throw new RangeError(`${where}.parts must be a positive integer, got ${group.parts}`)
    }
  }
}
