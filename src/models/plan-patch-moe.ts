import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { checkOptionNames, type OptionNames } from '../known-options.js'
import { placedLayers } from '../layers/layer-paths.js'
import { patchMoE } from '../layers/moe/patch-moe.js'
import { isPositiveInteger, type Size2D, size2D } from '../shapes.js'
import { convolutionsOf, type ModelConvolution } from './convolutions.js'
import { modelCost } from './cost.js'

/** The mixture that is to take the place of a convolution. */
export interface PatchMoEPlanOptions {
  /** K >= 1; must divide the convolution's filters. Default 4. */
  readonly numExperts?: number
  /** L in [1, N]. Default a quarter of the N patches of each map, at least 1. */
  readonly patchesPerExpert?: number
  /** h, w in pixels of the map. Default 1. */
  readonly patchSize?: number | readonly number[]
}

const optionNames = {
  numExperts: true,
  patchesPerExpert: true,
  patchSize: true,
} as const satisfies OptionNames<PatchMoEPlanOptions>

/** What a convolution would be as a mixture. */
export interface PlannedMixture {
  readonly numExperts: number
  readonly patchSize: Size2D
  /** N, the patches of the map. */
  readonly patches: number
  /** L, the patches that each expert keeps. */
  readonly patchesPerExpert: number
  readonly parameters: number
  /** Of one sample, forward, in all its places. */
  readonly multiplyAdds: number
}

/** A convolution, and what becomes of it: the mixture, or the reason why there can be none. */
export interface PlannedConvolution extends ModelConvolution {
  readonly mixture?: PlannedMixture
}

/** What mixtures would save in a model. */
export interface PatchMoEPlan {
  /** In the order of computation. */
  readonly convolutions: readonly PlannedConvolution[]
  /** Path of the convolution that `insertPatchMoE` takes unless told otherwise: the last that has a mixture. */
  readonly chosen?: string
  /** Of the model as it is. */
  readonly parameters: number
  /** Of the model as it is: one sample, forward. */
  readonly multiplyAdds: number
}

/**
 * Lists a model's convolutions with what each costs, and what it would cost as a `PatchMoE`.
 *
 * @throws RangeError when an option is not a positive integer
 * @throws Error, RangeError as `modelCost`: for a model without shapes, or layers without a fixed size
 */
export function planPatchMoE(model: tfl.LayersModel, options: PatchMoEPlanOptions = {}): PatchMoEPlan {
  checkOptionNames('planPatchMoE', options, optionNames)
  const { numExperts = 4, patchesPerExpert } = options
  const patchSize = size2D(options.patchSize ?? 1, 'planPatchMoE: patchSize')
  for (const [name, value] of Object.entries({ numExperts, patchesPerExpert })) {
    if (value === undefined || isPositiveInteger(value)) continue
    throw new RangeError(`planPatchMoE: ${name} must be a positive integer, got ${value}`)
  }
  const layers = new Map(placedLayers(model).map(({ path, layer }) => [path, layer]))
  const convolutions = convolutionsOf(model).map(found =>
    planned(found, layers.get(found.path) as tfl.layers.Layer, { numExperts, patchesPerExpert, patchSize }),
  )
  const chosen = convolutions.findLast(({ mixture }) => mixture)?.path
  const { parameters, multiplyAdds } = modelCost(model)
  return {
    convolutions,
    ...(chosen !== undefined && { chosen }),
    parameters: parameters.total,
    multiplyAdds: multiplyAdds.forward,
  }
}

interface Wanted {
  readonly numExperts: number
  readonly patchesPerExpert: number | undefined
  readonly patchSize: Size2D
}

function planned(found: ModelConvolution, layer: tfl.layers.Layer, wanted: Wanted): PlannedConvolution {
  if (found.reason !== undefined) return found
  const { numExperts, patchSize } = wanted
  const [height, width, filters] = found.map
  if (height % patchSize[0] !== 0 || width % patchSize[1] !== 0) {
    const size = patchSize.join('x')
    return {
      ...found,
      reason: `patches of ${size} do not divide its map ${height}x${width} (${dividing(height, width)})`,
    }
  }
  if (filters % numExperts !== 0) {
    return {
      ...found,
      reason: `${numExperts} experts do not divide its ${filters} filters (${divisors(filters)} do)`,
    }
  }
  const patches = (height / patchSize[0]) * (width / patchSize[1])
  const patchesPerExpert = wanted.patchesPerExpert ?? Math.max(1, Math.round(patches / 4))
  if (patchesPerExpert > patches) {
    return { ...found, reason: `it has ${patches} patches, fewer than ${patchesPerExpert}` }
  }
  const mixture = { numExperts, patchSize, patches, patchesPerExpert }
  return { ...found, mixture: { ...mixture, ...costOf(layer, found, mixture) } }
}

/** Counts the layer itself, with weights of zeros. */
function costOf(
  layer: tfl.layers.Layer,
  { map, multiplyAdds }: ModelConvolution,
  mixture: Omit<PlannedMixture, 'parameters' | 'multiplyAdds'>,
): Pick<PlannedMixture, 'parameters' | 'multiplyAdds'> {
  const { kernelSize, useBias } = layer.getConfig() as { kernelSize: number[]; useBias: boolean }
  const kernel = layer.weights[0]?.shape ?? []
  const [height, width, filters] = map
  const channels = kernel[2] ?? 0
  const input = tfl.input({ shape: [height, width, channels] })
  const { patches: _, ...options } = mixture
  const experts = patchMoE({
    ...options,
    filters,
    kernelSize,
    useBias,
    kernelInitializer: 'zeros',
    routerInitializer: 'zeros',
  })
  const model = tfl.model({ inputs: input, outputs: experts.apply(input) as tfl.SymbolicTensor })
  const cost = modelCost(model)
  model.dispose()
  const places = Math.round(multiplyAdds / (height * width * tf.util.sizeFromShape(kernel as number[])))
  return { parameters: cost.parameters.total, multiplyAdds: cost.multiplyAdds.forward * places }
}

/** Patch sizes that cut a map into several patches, for a sentence. */
function dividing(height: number, width: number): string {
  const sizes: number[] = []
  for (let side = 1; side <= Math.min(height, width); side++) {
    if (height % side === 0 && width % side === 0 && side < Math.max(height, width)) sizes.push(side)
  }
  return `${sizes.join(', ')} ${sizes.length === 1 ? 'does' : 'do'}`
}

function divisors(count: number): string {
  return Array.from({ length: count }, (_, i) => i + 1)
    .filter(divisor => count % divisor === 0)
    .join(', ')
}
