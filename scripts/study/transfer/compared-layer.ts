import * as tfl from '@tensorflow/tfjs-layers'
import type { ImageSet } from '../../../src/data/image-set.js'
import { convolution } from '../../../src/layers/convolution.js'
import { globalAveragePooling2d } from '../../../src/layers/global-average-pooling.js'
import { patchMoE } from '../../../src/layers/moe/patch-moe.js'
import { relu } from '../../../src/layers/relu.js'
import { classifier } from '../../../src/models/classifier.js'
import { modelCost } from '../../../src/models/cost.js'
import { denseHead } from '../../../src/models/routed-model.js'
import { deriveSeed } from '../../../src/random.js'
import { evaluate } from '../../../src/train/evaluate.js'
import { type EpochMetrics, train } from '../../../src/train/loop.js'
import type { TransferTraining } from '../../experiments/transfer-experiment.js'

/** Filters of the compared layer, experts that share them, and the patches along a side of the largest maps. */
const filters = 64
const numExperts = 4
const mostPatchesAlong = 8
const evaluationBatchSize = 100

/** What stands on a map: the dense layer, or a mixture that keeps a percentage of the patches. */
export type ComparedLayer = { readonly kept?: number }

/** The patches of a map that a mixture routes: single cells of maps up to 8x8, blocks of larger ones. */
export function patchesOf(side: number): { readonly patchSize: number; readonly patches: number } {
  const patchSize = Math.max(1, side / mostPatchesAlong)
  return { patchSize, patches: (side / patchSize) ** 2 }
}

/**
 * A classifier of maps: the compared layer, 1x1 with 64 filters, ReLU, the mean over the map, softmax. The dense layer and the
 * mixtures start with the same weights but for the routers.
 *
 * @param input the network's
 * @param map (B,side,side,channels), of this input
 */
export function withComparedLayer(
  input: tfl.SymbolicTensor,
  map: tfl.SymbolicTensor,
  { kept }: ComparedLayer,
  { numClasses, seed }: { readonly numClasses: number; readonly seed: number },
): tfl.LayersModel {
  const common = {
    name: 'compared',
    filters,
    kernelSize: 1,
    kernelInitializer: tfl.initializers.heNormal({ seed: deriveSeed(seed, 'compared') }),
  }
  const side = map.shape[1] as number
  const { patchSize, patches } = patchesOf(side)
  const layer =
    kept === undefined
      ? convolution({ ...common, padding: 'same' })
      : patchMoE({
          ...common,
          numExperts,
          patchSize,
          patchesPerExpert: Math.max(1, Math.round((patches * kept) / 100)),
          seed: deriveSeed(seed, 'routers'),
        })
  const features = [layer, relu({ name: 'compared_relu' }), globalAveragePooling2d({ name: 'mean' })].reduce(
    (x, next) => next.apply(x) as tfl.SymbolicTensor,
    map,
  )
  return classifier(input, denseHead(features, numClasses, deriveSeed(seed, 'logits')), 'compared')
}

/** What a trained network gave. */
export interface TrainedLayer {
  readonly testAccuracy: number
  readonly trainAccuracy: number
  /** Nats. */
  readonly trainLoss: number
  readonly steps: number
  /** Of the training, without the evaluation. */
  readonly seconds: number
  /** Of what was trained on: one image or its map, forward. */
  readonly multiplyAdds: number
}

/** What a training needs besides its settings. */
export interface LayerRun {
  readonly train: ImageSet
  readonly training: TransferTraining
  readonly seed: number
  /** Ends the training, with the signal's reason as the error. */
  readonly signal: AbortSignal
}

/**
 * Trains a network in place.
 *
 * @returns the metrics of its epochs, one at least
 * @throws DivergenceError when the loss or a weight is no longer finite; the reason of the signal when it was aborted
 */
export async function trainLayer(
  model: tfl.LayersModel,
  { train: images, training, seed, signal }: LayerRun,
): Promise<readonly [last: EpochMetrics, ...before: EpochMetrics[]]> {
  const { steps, leastEpochs, batchSize, learningRate } = training
  const history: EpochMetrics[] = []
  const options = {
    train: images,
    epochs: Math.max(leastEpochs, Math.round(steps / Math.ceil(images.count / batchSize))),
    batchSize,
    optimizer: { name: 'adam', learningRate, schedule: 'cosine' },
    seed,
    signal,
  } as const
  for await (const event of train(model, options)) if (event.type === 'epoch') history.push(event)
  signal.throwIfAborted()
  const last = history.pop()
  if (!last) throw new Error('study: training must have an epoch, got none')
  return [last, ...history]
}

/** As {@link trainLayer}, and tests it once, at the end. */
export async function trainedLayer(
  model: tfl.LayersModel,
  { test, ...run }: LayerRun & { readonly test: ImageSet },
): Promise<TrainedLayer> {
  const { signal } = run
  const [last, ...before] = await trainLayer(model, run)
  const { accuracy } = await evaluate(model, test, { batchSize: evaluationBatchSize, signal })
  return {
    testAccuracy: accuracy,
    trainAccuracy: last.trainAccuracy,
    trainLoss: last.trainLoss,
    steps: last.steps,
    seconds: before.reduce((sum, epoch) => sum + epoch.seconds, last.seconds),
    multiplyAdds: modelCost(model).multiplyAdds.forward,
  }
}
