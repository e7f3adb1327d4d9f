import type * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { allLayersWithin } from '../../layers/layer-paths.js'
import { matchingWeights, weightName } from '../layer-patterns.js'
import type { VariableGroup } from './normalized-gradient-descent.js'
import type { LayerRate, OptimizerOptions, WeightGroup } from './optimizer-options.js'

/** A layer that says which of its weights belong together, for optimizers that normalise. */
export interface NormalizedLayer extends tfl.layers.Layer {
  /** Each group: weights whose last axis is cut into equal consecutive parts, one an expert. */
  readonly normalizedGroups: readonly {
    readonly weights: readonly tfl.LayerVariable[]
    readonly parts: number
  }[]
}

/**
 * The factor by which the optimizer's step is multiplied for each trainable weight, so that the weight is trained at its
 * own rate: this rate divided by the learning rate. The steps of `sgd`, `momentum`, `adam` and `adamw` are proportional to the
 * learning rate. `normalized-gd` steps each weight at its own rate itself and needs no factors.
 *
 * @returns one factor for each of the model's trainable weights, the last matching rate's; undefined where all are 1
 * @throws RangeError when a rate is not greater than 0, or a pattern matches no layer with weights and no weight
 */
export function stepFactors(
  model: tfl.LayersModel,
  { name, learningRate, layerRates = [] }: OptimizerOptions,
): readonly number[] | undefined {
  const rates = weightRates(model, layerRates)
  if (name === 'normalized-gd') return undefined
  const ofWeights = model.trainableWeights.map(weight => (rates.get(weight) ?? learningRate) / learningRate)
  return ofWeights.every(factor => factor === 1) ? undefined : ofWeights
}

/** Weight decay of `adamw` unless given, as in PyTorch. */
const adamwDecay = 0.01

/**
 * The share of itself, times the learning rate, that each trainable weight loses in a step: the weight decay, or 0 for biases and
 * for weights of one value a channel or fewer, as those of normalizations are.
 *
 * @returns one number for each of the model's trainable weights; undefined where none decays
 */
export function weightDecays(
  model: tfl.LayersModel,
  { name, weightDecay = name === 'adamw' ? adamwDecay : 0 }: OptimizerOptions,
): readonly number[] | undefined {
  if (weightDecay === 0) return undefined
  return model.trainableWeights.map(weight => (decays(weight) ? weightDecay : 0))
}

function decays(weight: tfl.LayerVariable): boolean {
  return weight.shape.length > 1 && !/(^|_)(bias|gamma|beta|alpha)$/.test(weightName(weight))
}

/** The l2 that a step adds to the gradients; `normalized-gd` adds it itself, to the normalised gradient. */
export function stepPenalty({ name, l2 = 0 }: OptimizerOptions): number {
  return name === 'normalized-gd' ? 0 : l2
}

/**
 * The learning rates of the weights that have one of their own, by the names of their variables.
 *
 * @throws RangeError as {@link stepFactors}
 */
export function variableRates(
  model: tfl.LayersModel,
  layerRates: readonly LayerRate[],
): Readonly<Record<string, number>> {
  const rates = [...weightRates(model, layerRates)]
  return Object.fromEntries(rates.map(([weight, rate]) => [variableName(weight), rate]))
}

/**
 * The variables that are normalised together.
 *
 * @param groups unless given, those of the model's layers; of these, weights that are not trained take no part
 * @throws RangeError when a group holds weights that are not trained or that its parts do not divide, a weight is in two
 *   groups, or no groups are given and no layer has any
 */
export function variableGroups(
  model: tfl.LayersModel,
  groups?: readonly WeightGroup[],
): readonly VariableGroup[] {
  return groups ? groupsGiven(model, groups) : groupsOfLayers(model)
}

function groupsGiven(model: tfl.LayersModel, groups: readonly WeightGroup[]): readonly VariableGroup[] {
  const trained = new Set(model.trainableWeights)
  const groupOf = new Map<tfl.LayerVariable, number>()
  return groups.map(({ weights: patterns, parts }, index) => {
    const where = `optimizer: groups[${index}]`
    const weights = new Set(patterns.flatMap(pattern => matchingWeights(model, pattern, `${where}.weights`)))
    for (const weight of weights) {
      const { originalName, shape } = weight
      if (!trained.has(weight)) {
        throw new RangeError(`${where}.weights must be weights that are trained, got ${originalName}`)
      }
      const other = groupOf.get(weight)
      if (other !== undefined) {
        throw new RangeError(
          `${where}.weights must be in no other group, got ${originalName} (of groups[${other}])`,
        )
      }
      groupOf.set(weight, index)
      if ((shape.at(-1) ?? 1) % parts !== 0) {
        throw new RangeError(
          `${where}.parts must divide the last axis of its weights, got ${parts} (${originalName} [${shape.join(', ')}])`,
        )
      }
    }
    return { variables: [...weights].map(variableName), parts }
  })
}

function groupsOfLayers(model: tfl.LayersModel): readonly VariableGroup[] {
  const groups = allLayersWithin(model).flatMap(layer => (isNormalized(layer) ? layer.normalizedGroups : []))
  if (groups.length === 0) {
    throw new RangeError(
      'optimizer: groups must be given to normalized-gd for a model without a layer of experts that whole samples choose, got none',
    )
  }
  const trained = new Set(model.trainableWeights)
  return groups.flatMap(({ weights, parts }) => {
    const variables = weights.filter(weight => trained.has(weight)).map(variableName)
    return variables.length === 0 ? [] : [{ variables, parts }]
  })
}

/** The rates of weights, the last matching one's. */
function weightRates(
  model: tfl.LayersModel,
  layerRates: readonly LayerRate[],
): ReadonlyMap<tfl.LayerVariable, number> {
  const rates = new Map<tfl.LayerVariable, number>()
  for (const { pattern, learningRate: rate } of layerRates) {
    if (!(rate > 0 && rate < Infinity)) {
      throw new RangeError(`train: learning rate of ${pattern} must be greater than 0, got ${rate}`)
    }
    for (const weight of matchingWeights(model, pattern, 'train: layer of a learning rate')) {
      rates.set(weight, rate)
    }
  }
  return rates
}

function variableName(weight: tfl.LayerVariable): string {
  return (weight.read() as tf.Variable).name
}

function isNormalized(layer: tfl.layers.Layer): layer is NormalizedLayer {
  return 'normalizedGroups' in layer && Array.isArray(layer.normalizedGroups)
}
