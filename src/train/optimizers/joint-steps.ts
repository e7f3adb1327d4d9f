import * as tf from '@tensorflow/tfjs-core'
import { layerOps, type StepRule, type WeightStep } from '../../layers/ops.js'
import { JointAdam } from './joint-adam.js'

/** What a step does to weights besides what the optimizer does; one number for each weight. */
export interface StepAdditions {
  /** l2 times the weight is added to its gradient. */
  readonly l2: number
  /** The share of each weight, times the learning rate, that it loses before the step. */
  readonly weightDecays?: readonly number[] | undefined
  /** The greatest norm of the gradients together. */
  readonly clipNorm?: number | undefined
  /** How many times longer the step of each weight is than the optimizer's. */
  readonly stepFactors?: readonly number[] | undefined
}

/** A tensor that tfjs's optimizers keep for a weight. */
interface Slot {
  readonly originalName: string
  readonly variable: tf.Variable
}

/** What tfjs's declarations call private or protected. */
interface OptimizerParts {
  readonly learningRate: number
  readonly momentum: number
  readonly useNesterov: boolean
  readonly accumulations: Slot[]
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  readonly accBeta1: tf.Variable
  readonly accBeta2: tf.Variable
  readonly accumulatedFirstMoment: Slot[]
  readonly accumulatedSecondMoment: Slot[]
  incrementIterations(): void
}

/** How one of tfjs's optimizers steps, as a rule that backends know, and where it keeps what belongs to weights. */
interface KnownOptimizer {
  rule(parts: OptimizerParts): StepRule
  /** By the suffix that tfjs gives their names. */
  slots(parts: OptimizerParts): Readonly<Record<string, Slot[]>>
  /** What else changes with a step. */
  afterStep?(parts: OptimizerParts): void
}

const known: ReadonlyMap<unknown, KnownOptimizer> = new Map<unknown, KnownOptimizer>([
  [tf.SGDOptimizer, { rule: ({ learningRate }) => ({ name: 'sgd', learningRate }), slots: () => ({}) }],
  [
    tf.MomentumOptimizer,
    {
      rule: ({ learningRate, momentum, useNesterov }) => ({
        name: 'momentum',
        learningRate,
        momentum,
        nesterov: useNesterov,
      }),
      slots: ({ accumulations }) => ({ momentum: accumulations }),
    },
  ],
  ...[tf.AdamOptimizer, JointAdam].map((adam): [unknown, KnownOptimizer] => [
    adam,
    {
      rule: ({ learningRate, beta1, beta2, epsilon, accBeta1, accBeta2 }) => ({
        name: 'adam',
        learningRate,
        beta1,
        beta2,
        epsilon,
        powers: [accBeta1, accBeta2],
      }),
      slots: ({ accumulatedFirstMoment: m, accumulatedSecondMoment: v }) => ({ m, v }),
      afterStep({ accBeta1, beta1, accBeta2, beta2 }) {
        tf.tidy(() => {
          accBeta1.assign(tf.mul(accBeta1, beta1))
          accBeta2.assign(tf.mul(accBeta2, beta2))
        })
      },
    },
  ]),
])

/**
 * Steps all weights as `optimizer` does, in few operations, where the backend has a form of its own for that: plain descent,
 * momentum and Adam of tfjs, and this library's. State and numbers are those of the optimizer, so that a step of it can follow.
 *
 * @param gradients in the order of the weights; undefined for a weight that the loss does not depend on, which stays as it is
 * @returns false where nothing was done
 */
export function stepJointly(
  optimizer: tf.Optimizer,
  weights: readonly tf.Variable[],
  gradients: readonly (tf.Tensor | undefined)[],
  { l2, clipNorm, weightDecays = [], stepFactors = [] }: StepAdditions,
): boolean {
  const { stepWeights } = layerOps()
  const kind = known.get(optimizer.constructor)
  if (!stepWeights || !kind) return false
  // tfjs makes every optimizer an instance of every class of them.
  if (optimizer.constructor === JointAdam) (optimizer as JointAdam).separateMoments()
  const parts = optimizer as unknown as OptimizerParts
  const rule = kind.rule(parts)
  const slotLists = Object.entries(kind.slots(parts))
  const steps = weights.flatMap((weight, i): WeightStep[] => {
    const slots = slotLists.map(([suffix, list]) => slotOf(list, i, weight, suffix))
    const gradient = gradients[i]
    if (!gradient) return []
    const keptShare = 1 - rule.learningRate * (weightDecays[i] ?? 0)
    return [{ weight, gradient, slots, keptShare, factor: stepFactors[i] ?? 1 }]
  })
  if (!stepWeights(steps, rule, { l2, clipNorm })) return false
  kind.afterStep?.(parts)
  parts.incrementIterations()
  return true
}

/** What an optimizer keeps for a weight; zeros at its first step, under the name that tfjs gives it. */
function slotOf(list: Slot[], place: number, weight: tf.Variable, suffix: string): tf.Variable {
  list[place] ??= {
    originalName: `${weight.name}/${suffix}`,
    variable: tf.tidy(() => tf.variable(tf.zerosLike(weight), false)),
  }
  return (list[place] as Slot).variable
}
