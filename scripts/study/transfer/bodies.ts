import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import type { ImageSet, PixelSet } from '../../../src/data/image-set.js'
import { patchField, receptiveField } from '../../../src/explain/receptive-field.js'
import { convolution } from '../../../src/layers/convolution.js'
import { isNestedModel } from '../../../src/layers/layer-paths.js'
import { relu } from '../../../src/layers/relu.js'
import { modelCost } from '../../../src/models/cost.js'
import { deriveSeed } from '../../../src/random.js'
import { upload } from '../../../src/train/upload.js'

/** One map of a network, of the size that is asked for. */
export interface BodyMap {
  readonly side: number
  /** The layer whose output it is. */
  readonly layer: string
  readonly tensor: tfl.SymbolicTensor
  readonly channels: number
  /** Pixels of the image that a cell of the map sees along one side, those outside of it included; absent where unknown. */
  readonly field?: number
  /** Of one image, forward, from its pixels to this map. */
  readonly multiplyAdds: number
}

/** The layers before the compared one, up to each of several maps. */
export interface Body {
  readonly input: tfl.SymbolicTensor
  /** Side of its images in pixels. */
  readonly side: number
  readonly maps: readonly BodyMap[]
}

/** Side of the images of a published network, and of the study's own. */
const publishedSide = 128
const ownSide = 64
/** Channels of the study's own network at maps of 32, 16, 8 and 4. */
const ownChannels = [16, 24, 32, 48] as const

/**
 * The maps of a published network on images of 128x128: of each size the one with the fewest channels, which is where a network
 * of narrow and wide layers carries what it knows on, and of several the last.
 *
 * @param model one input of RGB in 0..1; its layers are used again, not copied
 * @throws RangeError for a network with several inputs or networks within it, or one that has no map of a size
 */
export function publishedBody(model: tfl.LayersModel, sides: readonly number[]): Body {
  const nested = model.layers.find(isNestedModel)
  if (model.inputs.length !== 1 || nested) {
    const got = nested ? `the network ${nested.name} within it` : `${model.inputs.length} inputs`
    throw new RangeError(`study: --network must have one input and no network within it, got ${got}`)
  }
  const input = tfl.input({ shape: [publishedSide, publishedSide, 3] })
  const outputs = appliedAnew(model, input)
  const maps = sides.map(side => {
    const fitting = [...outputs].filter(([, { shape }]) => isMap(shape, side))
    const fewest = Math.min(...fitting.map(([, { shape }]) => shape[3] as number))
    const [layer, tensor] = fitting.findLast(([, { shape }]) => shape[3] === fewest) ?? []
    if (layer !== undefined && tensor) return bodyMap(input, layer, tensor)
    const image = `${publishedSide}x${publishedSide}`
    throw new RangeError(
      `study: --network must have a map of ${side}x${side} on images of ${image}, got none (${model.name})`,
    )
  })
  return { input, side: publishedSide, maps }
}

/** Convolutions of 3x3 and stride 2 with ReLU, from images of 64x64 down to a map of each size. */
export function ownBody(sides: readonly number[], seed: number): Body {
  const input = tfl.input({ shape: [ownSide, ownSide, 3] })
  const smallest = Math.min(...sides)
  const maps: BodyMap[] = []
  let tensor = input
  for (let level = 0, side = ownSide / 2; side >= smallest; level++, side /= 2) {
    const name = `conv${level + 1}`
    const layer = convolution({
      name,
      filters: ownChannels[level] as number,
      kernelSize: 3,
      strides: 2,
      padding: 'same',
      kernelInitializer: tfl.initializers.heNormal({ seed: deriveSeed(seed, name) }),
    })
    tensor = relu({ name: `relu${level + 1}` }).apply(layer.apply(tensor)) as tfl.SymbolicTensor
    if (sides.includes(side)) maps.push(bodyMap(input, `relu${level + 1}`, tensor))
  }
  return { input, side: ownSide, maps }
}

/** The outputs of a model's layers on another input, in the order of computation. */
function appliedAnew(model: tfl.LayersModel, input: tfl.SymbolicTensor): Map<string, tfl.SymbolicTensor> {
  const outputs = new Map<string, tfl.SymbolicTensor>()
  for (const layer of model.layers) {
    const node = layer.inboundNodes[0]
    const inputs = (node?.inboundLayers ?? []).flatMap(({ name }) => outputs.get(name) ?? [])
    if (layer.getClassName() === 'InputLayer') outputs.set(layer.name, input)
    else if (inputs.length === node?.inboundLayers.length) {
      const output = applied(layer, inputs)
      if (output) outputs.set(layer.name, output)
    }
  }
  return outputs
}

/** Undefined where a layer cannot take maps of this size, as those behind a last pooling: none of them is needed. */
function applied(layer: tfl.layers.Layer, inputs: tfl.SymbolicTensor[]): tfl.SymbolicTensor | undefined {
  try {
    const output = layer.apply(inputs.length === 1 ? (inputs[0] as tfl.SymbolicTensor) : inputs)
    return output as tfl.SymbolicTensor
  } catch {
    return undefined
  }
}

function isMap(shape: readonly (number | null)[], side: number): boolean {
  return shape.length === 4 && shape[1] === side && shape[2] === side
}

function bodyMap(input: tfl.SymbolicTensor, layer: string, tensor: tfl.SymbolicTensor): BodyMap {
  const field = receptiveField(tensor)
  const { multiplyAdds } = modelCost(tfl.model({ inputs: input, outputs: tensor }))
  return {
    side: tensor.shape[1] as number,
    layer,
    tensor,
    channels: tensor.shape[3] as number,
    ...(field && { field: patchField(field, [1, 1])[0] }),
    multiplyAdds: multiplyAdds.forward,
  }
}

/** Images that are computed at a time. */
const featureBatch = 32

/**
 * The maps of images, computed by a body once: images of another size and with values of any range, to be trained on as such.
 *
 * @returns one set for each map of the body
 */
export async function featureSets(
  { input, maps }: Body,
  images: PixelSet,
  signal: AbortSignal,
): Promise<ImageSet<Float32Array>[]> {
  const model = tfl.model({ inputs: input, outputs: maps.map(({ tensor }) => tensor) })
  const values = maps.map(({ side, channels }) => new Float32Array(images.count * side * side * channels))
  const imageBytes = images.images.length / images.count
  for (let first = 0; first < images.count; first += featureBatch) {
    signal.throwIfAborted()
    const last = Math.min(images.count, first + featureBatch)
    const outputs = tf.tidy(() => {
      const x = upload(images.images.subarray(first * imageBytes, last * imageBytes), images.shape)
      return [model.predict(x)].flat()
    })
    for (const [i, output] of outputs.entries()) {
      values[i]?.set(await output.data<'float32'>(), (first * output.size) / (last - first))
      output.dispose()
    }
  }
  return maps.map(({ side, channels }, i) => ({
    images: values[i] as Float32Array,
    labels: images.labels,
    count: images.count,
    shape: [side, side, channels],
    classNames: images.classNames,
  }))
}

/** Maps of training and of test images. */
export interface FeatureSets {
  readonly train: ImageSet<Float32Array>
  readonly test: ImageSet<Float32Array>
}

/** Maps whose channels have mean 0 and deviation 1 over the images of training, so that one learning rate suits every map. */
export function standardised(train: ImageSet<Float32Array>, test: ImageSet<Float32Array>): FeatureSets {
  const channels = train.shape[2]
  const sums = new Float64Array(channels)
  const squares = new Float64Array(channels)
  train.images.forEach((value, i) => {
    const channel = i % channels
    sums[channel] = (sums[channel] as number) + value
    squares[channel] = (squares[channel] as number) + value * value
  })
  const cells = train.images.length / channels
  const means = sums.map(sum => sum / cells)
  const deviations = squares.map((square, i) => Math.sqrt(square / cells - (means[i] as number) ** 2) || 1)
  const scaled = (set: ImageSet<Float32Array>) => ({
    ...set,
    images: set.images.map(
      (value, i) => (value - (means[i % channels] as number)) / (deviations[i % channels] as number),
    ),
  })
  return { train: scaled(train), test: scaled(test) }
}
