import type * as tfl from '@tensorflow/tfjs-layers'
import type { ImageStream } from '../../src/data/image-stream.js'
import { type RoutedModel, routedModel } from '../../src/models/routed-model.js'
import { sampleExpertsModel } from '../../src/models/sample-experts.js'
import { sampleMoEModel } from '../../src/models/sample-moe.js'
import { twoLayerPatchModel } from '../../src/models/two-layer.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import type { RunConfig } from '../../src/run/run-config.js'

/** What a run's configuration says of its network. */
export type NetworkOptions = RunConfig['model']['options']

/** What a run's configuration says of a network that reads images in parts. */
export type RoutedOptions = Extract<NetworkOptions, { kind: 'routed' }>

/**
 * Builds the network of a run, with its initial weights, on the current backend.
 *
 * @param images decide the input shape and the classes
 * @throws RangeError when the options do not fit together or the images; Error for a network that was trained before,
 * which the folder of its run keeps
 */
export function buildNetwork(
  options: NetworkOptions,
  images: Pick<ImageStream, 'shape' | 'classNames'>,
  seed: number,
): tfl.LayersModel {
  const inputShape = images.shape
  if (options.kind === 'init') throw new Error(`buildNetwork: network must be loaded from ${options.from}`)
  if (options.kind === 'routed') return buildRouted(options, images, seed).model
  if (options.kind === 'wide-resnet') {
    const { kind: _, oneLogit, ...network } = options
    return wideResNet({ ...network, inputShape, numClasses: outputs(oneLogit, images), seed })
  }
  if (options.kind === 'two-layer') {
    const { kind: _, oneLogit, ...network } = options
    return twoLayerPatchModel({ ...network, inputShape, numClasses: outputs(oneLogit, images), seed })
  }
  const numClasses = images.classNames.length
  if (options.kind === 'sample-moe') return sampleMoEModel({ ...options, inputShape, numClasses, seed })
  return sampleExpertsModel({ ...options, inputShape, numClasses, seed })
}

/**
 * Builds the model of a run on images that are read in parts, with its initial weights, on the current backend.
 *
 * @param images decide the size of its grid and the classes
 * @throws RangeError when the options do not fit together or the images
 */
export function buildRouted(
  options: RoutedOptions,
  { shape, classNames }: Pick<ImageStream, 'shape' | 'classNames'>,
  seed: number,
): RoutedModel {
  const { kind: _, imageShape: __, ...network } = options
  return routedModel({ ...network, imageShape: shape, numClasses: classNames.length, seed })
}

function outputs(oneLogit: boolean | undefined, { classNames }: Pick<ImageStream, 'classNames'>): number {
  if (!oneLogit) return classNames.length
  if (classNames.length === 2) return 1
  throw new RangeError(`buildNetwork: oneLogit must come with 2 classes, got ${classNames.length}`)
}
