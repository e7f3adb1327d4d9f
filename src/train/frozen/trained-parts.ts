import type * as tfl from '@tensorflow/tfjs-layers'
import { allPlacedLayers } from '../../layers/layer-paths.js'
import type { PatchMoE } from '../../layers/moe/patch-moe.js'
import { untrainableSetting } from '../../layers/untrainable.js'
import { addedTerms, auxiliaryCoefficients, checkTermsTrained } from '../auxiliary-loss.js'
import { workerSteps } from '../cluster/worker-step.js'
import {
  type ComputedModel,
  classifierOf,
  type FedModel,
  type Feed,
  feedOf,
  isRegionModel,
  networkOf,
  type TrainingData,
} from '../feed.js'
import { lossOptions } from '../loss.js'
import { createOptimizer, disposeOptimizer } from '../optimizers/optimizer.js'
import { stepFactors, stepPenalty, weightDecays } from '../optimizers/parameter-groups.js'
import type { StepParts } from '../step.js'
import type { TargetRule } from '../targets.js'
import type { TrainOptions } from '../train-options.js'
import { WeightAverage } from '../weight-average.js'
import { FrozenBody, frozenSplit } from './frozen-body.js'
import { type FrozenLayers, freezeLayers } from './frozen-layers.js'
import { type FreezeOptions, freezeOptions } from './frozen-part.js'

/** What follows from which weights of a run are trained. */
export interface TrainedParts {
  readonly frozen: FrozenLayers
  /** The model, or its head where its body is frozen. */
  readonly computed: ComputedModel
  readonly feed: Feed
  readonly parts: StepParts
  /** The moving average of the weights, where they are averaged. */
  readonly average: WeightAverage | undefined
}

/** What a run is made of that does not change with the weights that it trains. */
export interface TrainedPartsOptions {
  readonly fed: FedModel
  readonly options: TrainOptions<TrainingData>
  /** Up to which layer the network is frozen now. */
  readonly freezeUntil: string | undefined
  readonly targets: TargetRule
  /** Mixtures whose L is annealed. */
  readonly annealed: readonly PatchMoE[]
}

/**
 * Freezes what a run does not train now, and makes what follows from it: its optimizer, which has a state for the trained weights alone,
 * their averages, and what is computed in a step.
 *
 * @throws RangeError when nothing is left to be trained, or options do not fit the model; the model is then as it was
 */
export function trainedParts(made: TrainedPartsOptions): TrainedParts {
  const { fed, options, freezeUntil } = made
  const model = networkOf(fed)
  const { freezeUntil: _, ...others } = freezeOptions(options)
  const frozen = freezeLayers(model, { ...others, ...(freezeUntil !== undefined && { freezeUntil }) })
  try {
    checkTrainable(model, options)
    return { frozen, ...partsOf(made, frozen) }
  } catch (error) {
    frozen.restore()
    throw error
  }
}

function partsOf(
  { fed, options, targets, annealed }: TrainedPartsOptions,
  frozen: FrozenLayers,
): Omit<TrainedParts, 'frozen'> {
  const model = networkOf(fed)
  const { evaluated } = frozen.part
  const { optimizer, train } = options
  const asked = auxiliaryCoefficients(model, options)
  // What is frozen now is trained later where the network is unfrozen gradually.
  if (options.unfreezeEvery === undefined) checkTermsTrained(model, asked, frozen.evaluated)
  const coefficients = addedTerms(model, asked, frozen.evaluated)
  const split = isRegionModel(fed)
    ? undefined
    : frozenSplit(model, { evaluated, terms: new Set(coefficients.keys()), changing: annealed })
  const computed = split ? new FrozenBody(split) : fed
  return {
    computed,
    feed: feedOf(computed, train),
    parts: {
      model,
      classifier: classifierOf(computed, lossOptions(options)),
      targets,
      stepFactors: stepFactors(model, optimizer),
      coefficients,
      l2: stepPenalty(optimizer),
      weightDecays: weightDecays(model, optimizer),
      clipNorm: optimizer.clipNorm,
      workers: workerSteps(options),
      optimizer: createOptimizer(optimizer, model),
    },
    average: weightAverage(model, options),
  }
}

/** Frees what belongs to the parts of a run, and gives the model its flags back. */
export async function releaseParts({ frozen, computed, parts, average }: TrainedParts): Promise<void> {
  frozen.restore()
  disposeOptimizer(parts.optimizer)
  average?.dispose()
  if (computed instanceof FrozenBody) await computed.close()
}

/**
 * Checks that a model has weights that training may change, and can.
 *
 * @throws RangeError saying how many weights it has and what froze them
 */
export function checkTrainable(model: tfl.LayersModel, options: FreezeOptions): void {
  const { freezeUntil, freeze, trainOnly } = options
  if (model.trainableWeights.length === 0) {
    const frozenBy = [
      ...(freezeUntil === undefined ? [] : [`freezeUntil ${freezeUntil}`]),
      ...(freeze ? [`freeze ${freeze.join(',')}`] : []),
      ...(trainOnly ? [`trainOnly ${trainOnly.join(',')}`] : []),
    ]
    const by = frozenBy.length > 0 ? ` are frozen by ${frozenBy.join(' and ')}` : ''
    throw new RangeError(
      `train: model must have trainable weights, got 0 (of ${model.weights.length} weights${by && `, which${by}`})`,
    )
  }
  for (const { path, layer } of allPlacedLayers(model)) {
    const untrainable = untrainableSetting(layer)
    if (!untrainable) continue
    throw new RangeError(
      `train: layers must be such that tfjs can train, got ${layer.getClassName()} ${path} with ` +
        `${untrainable.setting} (${untrainable.remedy})`,
    )
  }
}

function weightAverage(
  model: tfl.LayersModel,
  { emaDecay, bnStatistics = 'recomputed' }: TrainOptions<TrainingData>,
): WeightAverage | undefined {
  if (emaDecay === undefined) return undefined
  return new WeightAverage(model, { decay: emaDecay, movingStatistics: bnStatistics === 'moving' })
}
