import type * as tfl from '@tensorflow/tfjs-layers'
import { checkChannels, InputScaling, type PixelScaling } from '../layers/input-scaling.js'
import { isNestedModel, placedLayers } from '../layers/layer-paths.js'
import { rebuildModel } from './rebuild.js'

const WHERE = 'withInputScaling'

/**
 * Puts the scaling of pixels in front of a network, as a layer: it then takes images of 0..1.
 *
 * @param model of one input, images; it is left as it is
 * @param scaling how the network takes pixels
 * @returns a model that shares nothing with the old one; the caller disposes it
 * @throws RangeError when the model has several inputs, or the scaling is not for as many channels; Error as `rebuildModel`
 */
export function withInputScaling(model: tfl.LayersModel, scaling: PixelScaling): tfl.LayersModel {
  if (model.inputs.length !== 1) {
    throw new RangeError(`${WHERE}: model must have one input, got ${model.inputs.length}`)
  }
  checkChannels(scaling, model.inputs[0]?.shape.at(-1) ?? 0, WHERE)
  const names = new Set(placedLayers(model).map(({ layer }) => layer.name))
  let name = 'input_scaling'
  for (let count = 1; names.has(name); count++) name = `input_scaling_${count}`
  const config = { name, trainable: true, scaling }
  return rebuildModel(model, new Map(), WHERE, {
    behindInput: { className: InputScaling.className, config },
  })
}

/** How a network takes pixels, as far as it shows. */
export interface RecognisedScaling {
  readonly scaling: PixelScaling
  /** By what it was recognised, as a part of a sentence. */
  readonly reason: string
  /** Whether the layer that `withInputScaling` adds is there, so that the model takes 0..1. */
  readonly isInside?: boolean
}

/**
 * Recognises how a network takes pixels: by the scaling that it begins with, or as one of the families of networks that
 * Keras publishes, whose layers have names of their own.
 *
 * @returns undefined where nothing shows it
 */
export function recognisedScaling(model: tfl.LayersModel): RecognisedScaling | undefined {
  const first = firstLayers(model)
  const [own] = first
  if (own instanceof InputScaling) {
    return { scaling: own.scaling, reason: `its layer ${own.name}`, isInside: true }
  }
  return byRescaling(first) ?? byFamily(model)
}

/** The first layers of a model as long as each is all that reads what comes before; models inside it are entered. */
function firstLayers(model: tfl.LayersModel): tfl.layers.Layer[] {
  const [input, ...others] = model.inputs
  if (!input || others.length > 0) return []
  return following(input, model)
}

function following(tensor: tfl.SymbolicTensor, within: tfl.LayersModel): tfl.layers.Layer[] {
  const readers = within.layers.flatMap(layer =>
    layer.inboundNodes
      // The node of an input layer reads what it gives.
      .filter(
        ({ inputTensors, outputTensors: [output] }) => inputTensors.includes(tensor) && output !== tensor,
      )
      .map(({ outputTensors }) => ({ layer, output: outputTensors[0] })),
  )
  const [reader] = readers
  if (!reader?.output || readers.length > 1) return []
  const { layer, output } = reader
  if (isNestedModel(layer)) return firstLayers(layer)
  return [layer, ...following(output, within)]
}

/** A factor from here on is one for pixels of 0..1, below it one for pixels of 0..255: 1/255, 1/128, 1/58.4 there. */
const LEAST_FACTOR = 0.1

/** By the Rescaling layers that a network begins with, one after the other: x scale + offset. */
function byRescaling(first: readonly tfl.layers.Layer[]): RecognisedScaling | undefined {
  const others = first.findIndex(layer => layer.getClassName() !== 'Rescaling')
  const layers = first.slice(0, others === -1 ? first.length : others)
  const [scale, offset] = layers.reduce(
    ([allScale, allOffset], layer) => {
      const { scale = 1, offset = 0 } = layer.getConfig() as { scale?: number; offset?: number }
      return [allScale * scale, allOffset * scale + offset]
    },
    [1, 0] as [number, number],
  )
  if (layers.length === 0 || (scale === 1 && offset === 0)) return undefined
  const names = layers.map(({ name }) => name).join(' and ')
  const reason = `${names} inside it, x ${short(scale)} ${offset < 0 ? '-' : '+'} ${short(Math.abs(offset))}`
  return { scaling: takenBy(scale, offset), reason }
}

function takenBy(scale: number, offset: number): PixelScaling {
  if (scale < LEAST_FACTOR) return '0..255'
  // x 127.5 + 127.5 makes bytes of -1..1.
  return scale > 1 && Math.abs(offset - scale) < 1e-3 * scale ? '-1..1' : '0..1'
}

function short(value: number): string {
  return String(Number(value.toPrecision(3)))
}

/** A family of published networks: the names that layers of each of them have, and no other family's. */
interface Family {
  readonly title: string
  readonly layers: readonly RegExp[]
  readonly scaling: PixelScaling
}

/** The first whose names are all there. EfficientNet, MobileNetV3 and ConvNeXt scale bytes themselves, in layers of their own. */
const families: readonly Family[] = [
  { title: 'MobileNet', layers: [/^conv_dw_1$/, /^conv_pw_13$/], scaling: '-1..1' },
  { title: 'MobileNetV2', layers: [/^expanded_conv_depthwise$/, /^block_1_expand$/], scaling: '-1..1' },
  { title: 'InceptionResNetV2', layers: [/^mixed_5b$/, /^block35_1_conv$/], scaling: '-1..1' },
  { title: 'InceptionV3', layers: [/^mixed0$/, /^mixed10$/], scaling: '-1..1' },
  { title: 'Xception', layers: [/^block1_conv1$/, /^block14_sepconv2$/], scaling: '-1..1' },
  { title: 'NASNet', layers: [/^stem_conv1$/, /^normal_conv_1_/], scaling: '-1..1' },
  { title: 'ResNetV2', layers: [/^conv2_block1_preact_bn$/, /^post_bn$/], scaling: '-1..1' },
  { title: 'DenseNet', layers: [/^conv2_block1_concat$/, /^pool2_conv$/], scaling: 'imagenet' },
  { title: 'ResNet', layers: [/^conv2_block1_1_conv$/, /^conv2_block1_out$/], scaling: 'caffe' },
  { title: 'ResNet50', layers: [/^res2a_branch2a$/, /^bn2a_branch2a$/], scaling: 'caffe' },
  { title: 'VGG', layers: [/^block1_conv2$/, /^block5_conv3$/], scaling: 'caffe' },
]

function byFamily(model: tfl.LayersModel): RecognisedScaling | undefined {
  const names = placedLayers(model).map(({ layer }) => layer.name)
  const family = families.find(({ layers }) =>
    layers.every(pattern => names.some(name => pattern.test(name))),
  )
  if (!family) return undefined
  const named = family.layers.map(pattern => names.find(name => pattern.test(name)))
  return {
    scaling: family.scaling,
    reason: `its layers are named as those of ${family.title}, such as ${named.join(' and ')}`,
  }
}
