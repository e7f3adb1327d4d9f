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

/** The mixture that a convolution would become. */
export interface PlannedMixture {
  readonly numExperts: number
  readonly patchSize: Size2D
  /** N, the patches of the map. */
  readonly patches: number
  /** L, the patches that each expert keeps. */
  readonly patchesPerExpert: number
  readonly parameters: number
  /** Of one sample, forward, summed over all uses of the layer. */
  readonly multiplyAdds: number
}

/** A convolution, and the mixture that can take its place or the reason why none can. */
export interface PlannedConvolution extends ModelConvolution {
  readonly mixture?: PlannedMixture
}

/** What mixtures would save in a model. */
export interface PatchMoEPlan {
  /** In the order of computation. */
  readonly convolutions: readonly PlannedConvolution[]
  /** Path of the convolution that `insertPatchMoE` takes unless told otherwise: the last that has a mixture. */
  readonly chosen?: string
  /**
   * Path of the convolution whose mixture saves most multiply-adds, the last one of several; absent where none saves any.
   * This does not consider accuracy: the last convolutions see the most of the image.
   */
  readonly best?: string
  /** Of the unchanged model. */
  readonly parameters: number
  /** Of the unchanged model: one sample, forward. */
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
  const settings = { numExperts, patchesPerExpert, patchSize }
  const convolutions = convolutionsOf(model).map(convolution =>
    planned(convolution, layers.get(convolution.path) as tfl.layers.Layer, settings),
  )
  const chosen = convolutions.findLast(({ mixture }) => mixture)?.path
  const { parameters, multiplyAdds } = modelCost(model)
  const best = bestOf(convolutions, multiplyAdds.forward)
  return {
    convolutions,
    ...(chosen !== undefined && { chosen }),
    ...(best !== undefined && { best }),
    parameters: parameters.total,
    multiplyAdds: multiplyAdds.forward,
  }
}

/**
 * The share of a model's multiply-adds that the mixture in the place of a convolution saves; negative where it takes
 * more, 0 where there is none.
 *
 * @param multiplyAdds of the whole unchanged model: one sample, forward
 */
export function savedShare(convolution: PlannedConvolution, multiplyAdds: number): number {
  const { mixture } = convolution
  return mixture ? (convolution.multiplyAdds - mixture.multiplyAdds) / multiplyAdds : 0
}

function bestOf(convolutions: readonly PlannedConvolution[], multiplyAdds: number): string | undefined {
  const saved = convolutions.map(convolution => savedShare(convolution, multiplyAdds))
  const most = Math.max(0, ...saved)
  return most > 0 ? convolutions[saved.lastIndexOf(most)]?.path : undefined
}

interface MixtureSettings {
  readonly numExperts: number
  readonly patchesPerExpert: number | undefined
  readonly patchSize: Size2D
}

function planned(
  convolution: ModelConvolution,
  layer: tfl.layers.Layer,
  settings: MixtureSettings,
): PlannedConvolution {
  if (convolution.reason !== undefined) return convolution
  const { numExperts, patchSize } = settings
  const [height, width, filters] = convolution.map
  if (height % patchSize[0] !== 0 || width % patchSize[1] !== 0) {
    const size = patchSize.join('x')
    return {
      ...convolution,
      reason: `patches of ${size} do not divide its map ${height}x${width} (${dividingSizes(height, width)})`,
    }
  }
  if (filters % numExperts !== 0) {
    return {
      ...convolution,
      reason: `${numExperts} experts do not divide its ${filters} filters (${divisors(filters)} do)`,
    }
  }
  const patches = (height / patchSize[0]) * (width / patchSize[1])
  const patchesPerExpert = settings.patchesPerExpert ?? Math.max(1, Math.round(patches / 4))
  if (patchesPerExpert > patches) {
    return { ...convolution, reason: `it has ${patches} patches, fewer than ${patchesPerExpert}` }
  }
  const mixture = { numExperts, patchSize, patches, patchesPerExpert }
  return { ...convolution, mixture: { ...mixture, ...costOf(layer, convolution, mixture) } }
}

/** Builds the mixture with weights of zeros, and counts it. */
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
  const numUses = Math.round(multiplyAdds / (height * width * tf.util.sizeFromShape(kernel as number[])))
  return { parameters: cost.parameters.total, multiplyAdds: cost.multiplyAdds.forward * numUses }
}

/** The patch sizes that divide a map into several patches, with their verb: `1, 2, 4 do`. */
function dividingSizes(height: number, width: number): string {
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
