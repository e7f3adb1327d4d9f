import type * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { twoLayerPatchModel } from '../../../src/models/two-layer.js'
import { wideResNet } from '../../../src/models/wide-resnet.js'
import type { PatternPruning, PhotographPruning } from '../../experiments/pruning-scale.js'
import { patternsOf } from './tasks.js'

/** The two-layer mixture of part 1. */
export function patternNetwork(
  sizes: PatternPruning,
  inputShape: readonly [number, number, number],
  { numClasses, seed }: { readonly numClasses: number; readonly seed: number },
): tfl.LayersModel {
  const { experts, patchesPerExpert, hiddenUnits } = sizes
  return twoLayerPatchModel({
    inputShape,
    patchSize: patternsOf(sizes).options.patchSide,
    numExperts: experts,
    patchesPerExpert,
    hiddenUnits,
    numClasses,
    seed,
  })
}

/** The layer of experts of a two-layer mixture. */
const expertsLayer = 'logits'

/** The same mixture for another number of classes: routers and experts are copied, the frozen head is drawn anew. */
export function withPatternHead(model: tfl.LayersModel, fresh: tfl.LayersModel): tfl.LayersModel {
  const kept = ['router', 'kernel']
  const weights = new Map(
    model.getLayer(expertsLayer).weights.map(weight => [weightName(weight.originalName), weight]),
  )
  for (const weight of fresh.getLayer(expertsLayer).weights) {
    const name = weightName(weight.originalName)
    if (kept.includes(name)) weight.write((weights.get(name) as tfl.LayerVariable).read())
  }
  return fresh
}

function weightName(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1)
}

/** (h w C, K) the routers of a two-layer mixture as columns of numbers. */
export async function routersOf(model: tfl.LayersModel): Promise<{ values: Float32Array; experts: number }> {
  const router = model
    .getLayer(expertsLayer)
    .weights.find(({ originalName }) => weightName(originalName) === 'router') as tfl.LayerVariable
  const tensor: tf.Tensor = router.read()
  return { values: (await tensor.data()) as Float32Array, experts: tensor.shape[3] as number }
}

/** The wide mixture of part 2. */
export function photographNetwork(
  { experts, patchesPerExpert, widen }: PhotographPruning,
  inputShape: readonly [number, number, number],
  { numClasses, seed }: { readonly numClasses: number; readonly seed: number },
): tfl.LayersModel {
  return wideResNet({
    inputShape,
    numClasses,
    widenFactor: widen,
    variant: 'sparse',
    pmoe: { numExperts: experts, patchesPerExpert, patchSize: 1, kernelSize: 1 },
    seed,
  })
}
