import type * as tfl from '@tensorflow/tfjs-layers'
import { matchingLayers } from './layer-patterns.js'
import type { OptimizerOptions } from './optimizer.js'

/**
 * The factor by which the optimizer's step is multiplied for each trainable weight, so that the weight is trained at its
 * own rate: this rate divided by the learning rate. The steps of `sgd`, `momentum` and `adam` are proportional to the
 * learning rate.
 *
 * @returns one factor for each of the model's trainable weights, the last matching rate's; undefined where all are 1
 * @throws RangeError when a rate is not greater than 0, or a pattern matches no layer with weights
 */
export function stepFactors(
  model: tfl.LayersModel,
  { learningRate, layerRates = [] }: OptimizerOptions,
): readonly number[] | undefined {
  const factors = new Map<tfl.LayerVariable, number>()
  for (const { pattern, learningRate: rate } of layerRates) {
    if (!(rate > 0 && rate < Infinity)) {
      throw new RangeError(`train: learning rate of ${pattern} must be greater than 0, got ${rate}`)
    }
    for (const { layer } of matchingLayers(model, pattern, 'train: layer of a learning rate')) {
      for (const weight of layer.weights) factors.set(weight, rate / learningRate)
    }
  }
  const ofWeights = model.trainableWeights.map(weight => factors.get(weight) ?? 1)
  return ofWeights.every(factor => factor === 1) ? undefined : ofWeights
}
