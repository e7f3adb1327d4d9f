import type * as tfl from '@tensorflow/tfjs-layers'
import { isNestedModel, placedLayers } from '../layers/layer-paths.js'
import type { Size2D } from '../shapes.js'
import { type LayerChange, rebuildModel } from './rebuild.js'

const WHERE = 'withImageSize'

/** Stands for the batch: a Reshape compares sizes only where all of them are known. */
const BATCH = 1

/**
 * Builds a network anew for images of another size, with the same weights. Networks allow that whose layers slide over the
 * image up to a pooling of the whole map, by whatever layer; a Dense behind a Flatten has a weight for every position.
 *
 * @param model of one input, (batch, height, width, channels), of which height and width may be open; it is left as it is
 * @param size height and width in pixels
 * @returns a model that shares nothing with the old one; the caller disposes it
 * @throws RangeError naming the layer whose weights fix the size, or that cannot take such a map; Error as `rebuildModel`
 */
export function withImageSize(model: tfl.LayersModel, [height, width]: Size2D): tfl.LayersModel {
  const [input, ...others] = model.inputs
  if (!input || others.length > 0 || input.shape.length !== 4) {
    const shapes = model.inputs.map(({ shape }) => `[${shape.map(side => side ?? 'null').join(', ')}]`)
    throw new RangeError(`${WHERE}: model must take images, got inputs ${shapes.join(' and ')}`)
  }
  const [, , , channels = null] = input.shape
  const changes = new Map<string, LayerChange>()
  const paths = new Map(placedLayers(model).map(({ layer, path }) => [layer, path]))
  followShapes(model, [[BATCH, height, width, channels]], { size: `${height}x${width}`, paths, changes })
  return rebuildModel(model, changes, WHERE)
}

interface Walk {
  /** Of the images, for errors. */
  readonly size: string
  readonly paths: ReadonlyMap<tfl.layers.Layer, string>
  /** What becomes of the layers that say what a model, or one inside it, takes, and of poolings of whole maps. */
  readonly changes: Map<string, LayerChange>
}

/** The shapes that a model gives for those that it takes; every layer on the way must be able to compute them. */
function followShapes(model: tfl.LayersModel, shapes: readonly tfl.Shape[], walk: Walk): tfl.Shape[] {
  for (const [i, shape] of shapes.entries()) noteInput(model, i, shape, walk)
  const given = new Map(model.inputs.map((input, i) => [input, shapes[i] as tfl.Shape]))
  const computed = new Map<tfl.layers.Layer, Map<number, tfl.Shape[]>>()
  const visit = (tensor: tfl.SymbolicTensor): tfl.Shape => {
    const input = given.get(tensor)
    if (input) return input
    const { sourceLayer: layer, nodeIndex } = tensor
    const nodes = computed.get(layer) ?? new Map<number, tfl.Shape[]>()
    computed.set(layer, nodes)
    let outputs = nodes.get(nodeIndex)
    if (!outputs) {
      const read = tensor.inputs.map(visit)
      outputs = isNestedModel(layer)
        ? followShapes(layer, read, walk)
        : outputShapes(layer, tensor, read, walk)
      nodes.set(nodeIndex, outputs)
    }
    return outputs[tensor.tensorIndex] ?? (outputs[0] as tfl.Shape)
  }
  return model.outputs.map(visit)
}

/** Of a Sequential the first layer says what it takes, where that is no model itself. */
function noteInput(model: tfl.LayersModel, i: number, shape: tfl.Shape, { paths, changes }: Walk): void {
  const source = model.inputs[i]?.sourceLayer
  const path = paths.get(source as tfl.layers.Layer) ?? paths.get(model.layers[0] as tfl.layers.Layer)
  if (path === undefined) return
  changes.set(path, ({ className, config }) => ({
    className,
    config: { ...config, batchInputShape: [null, ...shape.slice(1)] as number[] },
  }))
}

function outputShapes(
  layer: tfl.layers.Layer,
  tensor: tfl.SymbolicTensor,
  read: readonly tfl.Shape[],
  { size, paths, changes }: Walk,
): tfl.Shape[] {
  const pooling = wholePooling(layer, tensor, read)
  if (pooling) {
    changes.set(paths.get(layer) as string, pooling.change)
    return [pooling.shape]
  }
  const described = `${WHERE}: layer ${paths.get(layer)} (${layer.getClassName()})`
  checkDense(layer, tensor, read, `${described} must have weights for images of ${size}`)
  try {
    const computed = layer.computeOutputShape((read.length === 1 ? read[0] : read) as tfl.Shape)
    const shapes = (Array.isArray(computed[0]) ? computed : [computed]) as tfl.Shape[]
    const empty = shapes.find(shape => shape.some(side => side !== null && side < 1))
    if (empty) throw new RangeError(`an output of [${empty.slice(1)}]`)
    return shapes
  } catch (cause) {
    const [reason = ''] = (cause as Error).message.split('\n')
    throw new RangeError(`${described} must be one for images of ${size}, got: ${reason}`, { cause })
  }
}

/** A pooling whose one window is the whole map, as a window of the new map. */
function wholePooling(
  layer: tfl.layers.Layer,
  { inputs: [input] }: tfl.SymbolicTensor,
  [shape]: readonly tfl.Shape[],
): { readonly change: LayerChange; readonly shape: tfl.Shape } | undefined {
  if (!['AveragePooling2D', 'MaxPooling2D'].includes(layer.getClassName())) return undefined
  const { poolSize, padding, dataFormat } = layer.getConfig()
  const [batch = null, height, width, channels = null] = shape ?? []
  const isWhole = String(poolSize) === String(input?.shape.slice(1, 3)) && padding === 'valid'
  if (!isWhole || dataFormat === 'channelsFirst' || !height || !width) return undefined
  const window = [height, width]
  return {
    change: ({ className, config }) => ({
      className,
      config: { ...config, poolSize: window, strides: window },
    }),
    shape: [batch, 1, 1, channels],
  }
}

function checkDense(
  layer: tfl.layers.Layer,
  tensor: tfl.SymbolicTensor,
  [shape]: readonly tfl.Shape[],
  requirement: string,
): void {
  if (layer.getClassName() !== 'Dense') return
  const inputs = layer.weights[0]?.shape[0]
  const given = shape?.at(-1)
  if (inputs === given) return
  const flatten = flattenBefore(tensor)
  const why = flatten ? ` behind ${flatten.name}, which keeps every position` : ''
  throw new RangeError(`${requirement}, got ${inputs} inputs in the place of ${given ?? 'any number'}${why}`)
}

/** The layer that makes one axis of a map, on the way to a tensor. */
function flattenBefore({ inputs: [input, ...others] }: tfl.SymbolicTensor): tfl.layers.Layer | undefined {
  if (!input || others.length > 0) return undefined
  const isFlatten = ['Flatten', 'Reshape'].includes(input.sourceLayer.getClassName())
  return isFlatten ? input.sourceLayer : flattenBefore(input)
}
