import type * as tfl from '@tensorflow/tfjs-layers'
import { mixesChannels } from '../layers/activations.js'
import { placedLayers } from '../layers/layer-paths.js'
import type { Size2D } from '../shapes.js'
import { type LayerCost, modelCost } from './cost.js'

/** A convolution of a model, and whether a `PatchMoE` can take its place. */
export interface ModelConvolution {
  /** The layer's name, after those of the models it is nested in: `backbone/conv1`. */
  readonly path: string
  readonly className: string
  /** H, W and channels of its output. */
  readonly map: readonly [height: number, width: number, channels: number]
  /** Numbers in its weights. */
  readonly parameters: number
  /** Of one sample, forward, summed over all uses of the layer. */
  readonly multiplyAdds: number
  /** Why no PatchMoE can take its place; absent where one can. */
  readonly reason?: string
}

/**
 * Lists the convolutions of a model that make maps, in the order of computation.
 *
 * A PatchMoE can stand where a Conv2D keeps the size of a map of several pixels: stride 1, no dilation, padding 'same'
 * (or a 1x1 kernel), an odd kernel, channels last, and an activation that does not mix channels.
 *
 * @param model a model of fixed image size; models within it are entered
 * @throws Error, RangeError as `modelCost`: for a model without shapes, or layers without a fixed size
 */
export function convolutionsOf(model: tfl.LayersModel): readonly ModelConvolution[] {
  const layers = new Map(placedLayers(model).map(({ path, layer }) => [path, layer]))
  const costsByPath = new Map<string, LayerCost[]>()
  for (const cost of modelCost(model).layers) {
    if (!isConvolution(cost.className) && !wrapsConvolution(layers.get(cost.name))) continue
    costsByPath.set(cost.name, [...(costsByPath.get(cost.name) ?? []), cost])
  }
  return [...costsByPath].map(([path, costs]) => describe(path, layers.get(path) as tfl.layers.Layer, costs))
}

/** Why a convolution does not fit, by class name; undefined for Conv2D, which may fit. */
const otherKinds: Readonly<Record<string, string | undefined>> = {
  Conv2D: undefined,
  DepthwiseConv2D: 'its filters see one channel each',
  SeparableConv2D: 'its filters see one channel each, before a 1x1 convolution',
  Conv2DTranspose: 'it makes the map larger',
}

function isConvolution(className: string): boolean {
  return Object.hasOwn(otherKinds, className)
}

function wrapsConvolution(layer: tfl.layers.Layer | undefined): boolean {
  const inner = layer && 'layer' in layer ? (layer.layer as tfl.layers.Layer) : undefined
  return inner !== undefined && isConvolution(inner.getClassName())
}

function describe(path: string, layer: tfl.layers.Layer, costs: readonly LayerCost[]): ModelConvolution {
  const [first] = costs as [LayerCost]
  const [height = 0, width = 0, channels = 0] = first.outputShape.slice(-3).map(side => side ?? 0)
  const map = [height, width, channels] as const
  const reason = unfit(layer, [height, width], costs)
  return {
    path,
    className: first.className,
    map,
    parameters: costs.reduce((sum, { parameters }) => sum + parameters, 0),
    multiplyAdds: costs.reduce((sum, { multiplyAdds }) => sum + multiplyAdds.forward, 0),
    ...(reason !== undefined && { reason }),
  }
}

/** The part of a convolution's configuration that decides whether it fits; tfjs has checked its values. */
interface ConvolutionConfig {
  readonly kernelSize: readonly number[]
  readonly strides: readonly number[]
  readonly dilationRate: readonly number[] | number
  readonly padding: string
  readonly dataFormat: string
  readonly activation?: string
  readonly activityRegularizer?: unknown
  readonly groups?: number
}

function unfit(layer: tfl.layers.Layer, map: Size2D, costs: readonly LayerCost[]): string | undefined {
  const className = layer.getClassName()
  if (className !== 'Conv2D') return otherKinds[className] ?? `it is applied by the wrapper ${className}`
  const { kernelSize, strides, dilationRate, padding, dataFormat, activation, activityRegularizer, groups } =
    layer.getConfig() as unknown as ConvolutionConfig
  const dilation = [dilationRate].flat()
  if (dataFormat === 'channelsFirst') return 'its channels come first'
  if (strides.some(stride => stride !== 1)) return `its stride is ${strides.join('x')}, not 1`
  if (dilation.some(rate => rate !== 1)) return `its dilation is ${dilation.join('x')}, not 1`
  if (groups !== undefined && groups !== 1) return `its filters are in ${groups} groups`
  const pixelwise = kernelSize.every(side => side === 1)
  if (padding !== 'same' && !pixelwise) return `its padding is '${padding}', not 'same'`
  if (kernelSize.some(side => side % 2 === 0)) return `its kernel ${kernelSize.join('x')} is not odd`
  if (map[0] * map[1] === 1) return 'its map is a single pixel'
  const sizes = new Set(costs.map(({ outputShape }) => outputShape.slice(1, 3).join('x')))
  if (sizes.size > 1) return `it is shared by maps of different sizes (${[...sizes].join(', ')})`
  if (activation !== undefined && mixesChannels(activation)) {
    return `its activation ${activation} runs over all output channels, which experts share out among them`
  }
  if (activityRegularizer != null) return 'it has an activity regularizer'
  return undefined
}
