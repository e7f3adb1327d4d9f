import type * as tfl from '@tensorflow/tfjs-layers'
import type { Size2D } from '../shapes.js'

/**
 * Which pixels of the image a pixel of a map is computed from: pixel i of the map sees the image's pixels
 * `low + i * step` to `high + i * step`, along each side; those outside of the image are padding.
 */
export interface ReceptiveField {
  readonly low: Size2D
  readonly high: Size2D
  readonly step: Size2D
}

/**
 * The receptive field of a tensor of a model. Convolutions and poolings widen it, layers that work on single pixels do not
 * change it, and where branches meet it covers the fields of all branches.
 *
 * @param tensor symbolic, (batch, height, width, channels), computed from the model's one input
 * @returns undefined if a layer between the input and the tensor mixes pixels in a way that is not listed here, or is a
 *   nested model
 */
export function receptiveField(tensor: tfl.SymbolicTensor): ReceptiveField | undefined {
  const fields = new Map<number, ReceptiveField | undefined>()
  const visit = ({ id, sourceLayer, nodeIndex }: tfl.SymbolicTensor): ReceptiveField | undefined => {
    if (fields.has(id)) return fields.get(id)
    const inputs = sourceLayer.inboundNodes[nodeIndex]?.inputTensors ?? []
    const isInput = sourceLayer.getClassName() === 'InputLayer'
    const field = isInput ? { low: zero, high: zero, step: one } : outputField(sourceLayer, inputs, visit)
    fields.set(id, field)
    return field
  }
  return visit(tensor)
}

/**
 * How many pixels of the image a patch of a map sees, padding included.
 *
 * @param patch height and width in pixels of the map
 */
export function patchField({ low, high, step }: ReceptiveField, patch: Size2D): Size2D {
  const side = (axis: 0 | 1) => high[axis] - low[axis] + 1 + (patch[axis] - 1) * step[axis]
  return [side(0), side(1)]
}

const zero: Size2D = [0, 0]
const one: Size2D = [1, 1]

/** Layers that compute each pixel from the same pixel of their inputs. */
const pointwise = new Set([
  ...['Activation', 'ReLU', 'LeakyReLU', 'PReLU', 'ELU', 'ThresholdedReLU', 'Softmax', 'BatchNormalization'],
  ...[
    'LayerNormalization',
    'Dropout',
    'SpatialDropout2D',
    'GaussianNoise',
    'GaussianDropout',
    'AlphaDropout',
  ],
  ...[
    'Add',
    'Subtract',
    'Multiply',
    'Average',
    'Maximum',
    'Minimum',
    'Concatenate',
    'InputScaling',
    'Rescaling',
    'PatchGate',
  ],
])

const windowed = new Set([
  ...['Conv2D', 'DepthwiseConv2D', 'SeparableConv2D', 'MaxPooling2D', 'AveragePooling2D', 'PatchMoE'],
])

type Visit = (tensor: tfl.SymbolicTensor) => ReceptiveField | undefined

function outputField(
  layer: tfl.layers.Layer,
  inputs: readonly tfl.SymbolicTensor[],
  visit: Visit,
): ReceptiveField | undefined {
  const name = layer.getClassName()
  const fields = inputs.map(visit)
  const [first] = fields
  if (!first || fields.some(field => !field)) return undefined
  if (pointwise.has(name)) return joined(fields as ReceptiveField[])
  if (windowed.has(name)) return windowField(layer, inputs[0] as tfl.SymbolicTensor, first)
  return name === 'ZeroPadding2D' ? shifted(layer, first) : undefined
}

function joined(fields: readonly ReceptiveField[]): ReceptiveField | undefined {
  return fields.reduce<ReceptiveField | undefined>((a, b) => {
    if (!a || a.step.some((step, axis) => step !== b.step[axis])) return undefined
    return {
      low: [Math.min(a.low[0], b.low[0]), Math.min(a.low[1], b.low[1])],
      high: [Math.max(a.high[0], b.high[0]), Math.max(a.high[1], b.high[1])],
      step: a.step,
    }
  }, fields[0])
}

/** Configuration of layers with windows. A PatchMoE has no strides and no padding: they are 1 and 'same'. */
interface WindowConfig {
  readonly kernelSize?: Size2D
  readonly poolSize?: Size2D
  readonly strides?: Size2D
  readonly dilationRate?: Size2D
  readonly padding?: string
}

function windowField(
  layer: tfl.layers.Layer,
  input: tfl.SymbolicTensor,
  { low, high, step }: ReceptiveField,
): ReceptiveField {
  const config = layer.getConfig() as WindowConfig
  const size = config.kernelSize ?? config.poolSize ?? one
  const strides = config.strides ?? one
  const dilation = config.dilationRate ?? one
  const isPadded = config.padding === 'same' || config.padding === undefined
  const side = (axis: 0 | 1) => {
    const reach = (size[axis] - 1) * dilation[axis]
    const pixels = input.shape[axis + 1] ?? 0
    const outputs = Math.ceil(pixels / strides[axis])
    // As in TensorFlow, 'same' adds the pixels that are missing for that many outputs, the smaller half before the map.
    const padding = isPadded ? Math.max(0, (outputs - 1) * strides[axis] + reach + 1 - pixels) : 0
    const before = Math.floor(padding / 2)
    return { low: low[axis] - before * step[axis], high: high[axis] + (reach - before) * step[axis] }
  }
  const [vertical, horizontal] = [side(0), side(1)]
  return {
    low: [vertical.low, horizontal.low],
    high: [vertical.high, horizontal.high],
    step: [step[0] * strides[0], step[1] * strides[1]],
  }
}

function shifted(layer: tfl.layers.Layer, { low, high, step }: ReceptiveField): ReceptiveField {
  const { padding } = layer.getConfig() as unknown as { padding: readonly (readonly number[])[] }
  const before: Size2D = [padding[0]?.[0] ?? 0, padding[1]?.[0] ?? 0]
  const moved = (pixel: Size2D): Size2D => [pixel[0] - before[0] * step[0], pixel[1] - before[1] * step[1]]
  return { low: moved(low), high: moved(high), step }
}
