/** The two networks of a setting: a dense one and a mixture. */
import * as tfl from '@tensorflow/tfjs-layers'
import type { ImageSet, PixelSet } from '../../../src/data/image-set.js'
import { regionRecords, regionStream } from '../../../src/data/regions/region-records.js'
import { batchNormalization } from '../../../src/layers/batch-norm.js'
import { convolution } from '../../../src/layers/convolution.js'
import { globalAveragePooling2d } from '../../../src/layers/global-average-pooling.js'
import type { Gate } from '../../../src/layers/moe/gates.js'
import { PatchExperts } from '../../../src/layers/moe/patch-experts.js'
import type { PatchExpertsGate } from '../../../src/layers/moe/patch-experts-options.js'
import { patchMoE } from '../../../src/layers/moe/patch-moe.js'
import { relu } from '../../../src/layers/relu.js'
import { classifier } from '../../../src/models/classifier.js'
import { RoutedModel, routedModel } from '../../../src/models/routed-model.js'
import { twoLayerPatchModel } from '../../../src/models/two-layer.js'
import { wholeImageModel } from '../../../src/models/whole-image-model.js'
import { deriveSeed } from '../../../src/random.js'
import type { ImageShape } from '../../../src/shapes.js'
import type { TrainingData } from '../../../src/train/feed.js'
import type { OptimizerOptions } from '../../../src/train/optimizers/optimizer-options.js'
import type { RouterTraining } from '../../../src/train/routing/routers.js'
import type { NetworkName } from '../protocol.js'
import { patchCount, type Setting } from '../setting.js'

/** A network, and one of whole images or of images that are read in parts. */
export type Network = tfl.LayersModel | RoutedModel

/** How the networks of a task are trained. */
export interface TaskTraining {
  readonly epochs: number
  readonly batchSize: number
  readonly optimizer: OptimizerOptions
  /** The first step of separate training. */
  readonly routers: RouterTraining
  readonly bnStatistics: 'recomputed' | 'moving'
}

const sgd = { name: 'sgd', learningRate: 0.2 } as const
const adam = { name: 'adam', learningRate: 3e-3, schedule: 'cosine', clipNorm: 1 } as const
const routers = { epochs: 5, batchSize: 20, learningRate: 0.1 } as const

/** By task; those of digits and quadrants are the recipes of these datasets. */
export const trainings: Readonly<Record<Setting['task'], TaskTraining>> = {
  digits: { epochs: 100, batchSize: 20, optimizer: sgd, routers, bnStatistics: 'recomputed' },
  quadrants: { epochs: 40, batchSize: 20, optimizer: sgd, routers, bnStatistics: 'recomputed' },
  defect: { epochs: 20, batchSize: 16, optimizer: adam, routers, bnStatistics: 'moving' },
  own: { epochs: 40, batchSize: 16, optimizer: adam, routers, bnStatistics: 'recomputed' },
}

/** What the dense network of each task is, for people. */
export const denseTitles: Readonly<Record<Setting['task'], string>> = {
  digits: 'Dense: one network on every patch',
  quadrants: 'Dense: one network on every patch',
  defect: 'Dense: the same convolutions on the whole image',
  own: 'Dense: the same convolutions on the whole map',
}

/** Hidden units of a two-layer model, and filters of a convolution: what all experts share. */
const WIDTH = 40
/** Pixels of an own picture that one position of the mixture's map stands for, along each side. */
const STRIDE = 2
/** How many times smaller the view of a large image is. */
const VIEW_SCALE = 2

/**
 * Builds one of the networks of a setting.
 *
 * @param images whose shape and classes it has
 */
export function networkOf(
  name: NetworkName,
  setting: Setting,
  images: Pick<ImageSet, 'shape' | 'classNames'>,
): Network {
  // Two classes share one logit.
  const numClasses = images.classNames.length === 2 ? 1 : images.classNames.length
  const sizes = { shape: images.shape, numClasses }
  if (setting.task === 'own') return convolutionNetwork(name, setting, sizes)
  return setting.task === 'defect'
    ? largeImageNetwork(name, setting, sizes)
    : twoLayerNetwork(name, setting, sizes)
}

interface Sizes {
  readonly shape: ImageShape
  readonly numClasses: number
}

/** Eq. (1) of the paper, and its dense counterpart, eq. (5). */
function twoLayerNetwork(name: NetworkName, setting: Setting, { shape, numClasses }: Sizes): Network {
  const { k, l, patch, gate, seed } = setting
  const routing =
    name === 'dense'
      ? { numExperts: 1, patchesPerExpert: patchCount(setting), gate: 'uniform' as const }
      : { numExperts: k, patchesPerExpert: l, gate: gate as Gate }
  return twoLayerPatchModel({
    inputShape: shape,
    numClasses,
    patchSize: patch,
    hiddenUnits: WIDTH,
    seed,
    ...routing,
  })
}

function largeImageNetwork(name: NetworkName, setting: Setting, { shape, numClasses }: Sizes): Network {
  const { k, l, patch, gate, seed } = setting
  if (name === 'dense') return wholeImageModel({ imageShape: shape, numClasses, seed })
  return routedModel({
    imageShape: shape,
    numClasses,
    cellSize: patch,
    viewScale: VIEW_SCALE,
    numExperts: k,
    patchesPerExpert: l,
    gate: gate as PatchExpertsGate,
    expertPixels: 'centred',
    seed,
  })
}

/** Two convolutions, of which the mixture's second sees the kept patches alone. */
function convolutionNetwork(name: NetworkName, setting: Setting, { shape, numClasses }: Sizes): Network {
  const { k, l, patch, gate, seed } = setting
  const initial = (layer: string) => tfl.initializers.heNormal({ seed: deriveSeed(seed, layer) })
  const kernel = { kernelSize: 3, useBias: false, kernelInitializer: initial('second') } as const
  const second =
    name === 'dense'
      ? convolution({ name: 'second', filters: WIDTH, padding: 'same', ...kernel })
      : patchMoE({
          name: 'second',
          filters: WIDTH,
          numExperts: k,
          patchesPerExpert: l,
          patchSize: patch / STRIDE,
          gate: gate as Gate,
          seed: deriveSeed(seed, 'mixture'),
          ...kernel,
        })
  const layers = [
    convolution({
      ...{ name: 'first', filters: 16, kernelSize: 3, strides: STRIDE, padding: 'same', useBias: false },
      kernelInitializer: initial('first'),
    }),
    batchNormalization({ name: 'normal1', momentum: 0.9 }),
    relu({ name: 'relu1' }),
    second,
    batchNormalization({ name: 'normal2', momentum: 0.9 }),
    relu({ name: 'relu2' }),
    globalAveragePooling2d({ name: 'mean' }),
    tfl.layers.dense({ name: 'logits', units: numClasses, kernelInitializer: initial('logits') }),
  ]
  const input = tfl.input({ shape: [...shape] })
  const logits = layers.reduce((x: tfl.SymbolicTensor, layer) => layer.apply(x) as tfl.SymbolicTensor, input)
  return classifier(input, logits, name)
}

/** A loaded model as a network for images of a shape. */
export function networkFrom(model: tfl.LayersModel, shape: ImageShape): Network {
  return model.layers.some(layer => layer instanceof PatchExperts) && model.inputs.length === 3
    ? new RoutedModel(model, shape)
    : model
}

/** The layers that are trained and saved. */
export function layersModel(network: Network): tfl.LayersModel {
  return network instanceof RoutedModel ? network.model : network
}

/** Images as a network takes them: whole, or to be read in parts. */
export function imagesFor(network: Network, { objectBox: _, ...set }: PixelSet): TrainingData {
  return network instanceof RoutedModel ? regionStream(regionRecords(set)) : set
}
