import type * as tfl from '@tensorflow/tfjs-layers'
import { checkOptionNames, type OptionNames } from '../../known-options.js'
import { size2D } from '../../shapes.js'
import { type LayerOptions, layerOptionNames } from '../standard-options.js'
import { oneOf, positiveInteger } from '../validation.js'
import type { CellSizes } from './cells.js'
import { GATES, type Gate, gateNames } from './gates.js'
import type { NetworkFactory } from './network-experts.js'
import { namedPrior, type Prior, type PriorFunction, priorNames } from './priors.js'

/**
 * What weighs the outputs of an expert on its kept patches. `product`: the softmax over the kept patches of the sum of the
 * router's score and the expert's own attention logit; the others are those of `PatchMoE`, of which `uniform` is 1 / L.
 */
export type PatchExpertsGate = 'product' | Gate

/** The gates of `PatchExperts` by name. */
export const PATCH_GATES = ['product', ...GATES] as const

/** How the outputs of experts come together: side by side, or added up. */
export const AGGREGATES = ['concat', 'sum'] as const
export type Aggregate = (typeof AGGREGATES)[number]

/**
 * Makes the network that scores cells.
 *
 * @param viewShape h, w, C of the view, padded to whole cells
 * @returns a new model from the view to (rows, columns, numExperts)
 */
export type RouterFactory = (viewShape: readonly number[], numExperts: number) => tfl.LayersModel

/** Options of `PatchExperts`. */
export interface PatchExpertsOptions extends LayerOptions {
  /** Height and width of a cell in pixels of the image; viewScale must divide it. */
  readonly cellSize: number | readonly number[]
  /** Pixels of a patch on each side of its cell, an integer in [0, cell / 2]. Default a quarter of the cell's shorter side. */
  readonly margin?: number
  /** Pixels of the image that one pixel of the view stands for, along each side. Default 4. */
  readonly viewScale?: number
  /** K >= 1. Default 1. */
  readonly numExperts?: number
  /** L in [1, N]. */
  readonly patchesPerExpert: number
  /** Makes the network of expert k: (patch height, patch width, C) -> (D), the same D for all. */
  readonly expert: NetworkFactory
  /** Whether one network serves as all experts, which then differ in the patches that they keep. Default false. */
  readonly shareExpert?: boolean
  /** Default `cellRouter`: three convolutions of 3x3 and one of 1x1. */
  readonly router?: RouterFactory
  /** What is added to the router's scores: a name, or a function of the view. Default 'contrast'. */
  readonly prior?: Prior | PriorFunction
  /** What the standardised prior is multiplied by, >= 0. Default 1. */
  readonly priorWeight?: number
  /** Share of the training after which the prior ends, in (0, 1]; 1 keeps it, also in inference. Default 1. */
  readonly priorUntil?: number
  /** Default 'product'. */
  readonly gate?: PatchExpertsGate
  /** Default 'concat'. */
  readonly aggregate?: Aggregate
  /** Seed of the default router and of the attention head. */
  readonly seed?: number
}

/** The class name, for errors. */
export const WHERE = 'PatchExperts'

/** What is said of the routing and of how outputs come together; also of a whole model. */
export const patchRoutingOptions = {
  cellSize: true,
  margin: true,
  viewScale: true,
  numExperts: true,
  patchesPerExpert: true,
  shareExpert: true,
  router: true,
  prior: true,
  priorWeight: true,
  priorUntil: true,
  gate: true,
  aggregate: true,
} as const satisfies Partial<OptionNames<PatchExpertsOptions>>

const optionNames = {
  ...layerOptionNames,
  ...patchRoutingOptions,
  expert: true,
  seed: true,
} as const satisfies OptionNames<PatchExpertsOptions>

/** {@link PatchExpertsOptions} with defaults, checked as far as they do not depend on the image. */
export interface PatchExpertsSettings extends CellSizes {
  readonly numExperts: number
  readonly patchesPerExpert: number
  readonly expert: NetworkFactory
  readonly shareExpert: boolean
  readonly router: RouterFactory | undefined
  readonly prior: Prior | PriorFunction
  readonly priorWeight: number
  readonly priorUntil: number
  readonly gate: PatchExpertsGate
  readonly aggregate: Aggregate
  readonly seed: number | undefined
}

/**
 * Reads the options of a layer; null counts as left out.
 *
 * @throws RangeError, TypeError for options that it does not have, and values of another kind or out of their range
 */
export function patchExpertsSettings(options: PatchExpertsOptions): PatchExpertsSettings {
  checkOptionNames(WHERE, options, optionNames)
  return {
    ...cellSizes(options),
    numExperts: positiveInteger(options.numExperts ?? 1, `${WHERE}: numExperts`),
    patchesPerExpert: positiveInteger(options.patchesPerExpert, `${WHERE}: patchesPerExpert`),
    expert: factory(options.expert, 'expert must be a function (patchShape, k) => model') as NetworkFactory,
    shareExpert: options.shareExpert ?? false,
    router:
      options.router == null
        ? undefined
        : (factory(
            options.router,
            'router must be a function (viewShape, numExperts) => model',
          ) as RouterFactory),
    prior: priorOf(options.prior ?? 'contrast'),
    priorWeight: within(options.priorWeight ?? 1, 'priorWeight', '[0, Infinity)', weight => weight >= 0),
    priorUntil: within(options.priorUntil ?? 1, 'priorUntil', '(0, 1]', share => share > 0 && share <= 1),
    gate: oneOf(['product', ...gateNames()], options.gate ?? 'product', `${WHERE}: gate`),
    aggregate: oneOf(AGGREGATES, options.aggregate ?? 'concat', `${WHERE}: aggregate`),
    seed: options.seed ?? undefined,
  }
}

function cellSizes({ cellSize, margin, viewScale = 4 }: PatchExpertsOptions): CellSizes {
  const cell = size2D(cellSize, `${WHERE}: cellSize`)
  positiveInteger(viewScale, `${WHERE}: viewScale`)
  if (cell.some(side => side % viewScale !== 0)) {
    throw new RangeError(
      `${WHERE}: viewScale must divide cellSize, got ${viewScale} (cells of ${cell[0]}x${cell[1]} pixels)`,
    )
  }
  const most = Math.floor(Math.min(...cell) / 2)
  const pixels = margin ?? Math.floor(Math.min(...cell) / 4)
  if (!Number.isInteger(pixels) || pixels < 0 || pixels > most) {
    throw new RangeError(
      `${WHERE}: margin must be an integer in [0, ${most}], half a cell, got ${pixels} (cells of ${cell[0]}x${cell[1]} pixels)`,
    )
  }
  return { cell, margin: pixels, viewScale }
}

function priorOf(prior: unknown): Prior | PriorFunction {
  if (typeof prior === 'function') return prior as PriorFunction
  return oneOf(priorNames() as readonly Prior[], prior, `${WHERE}: prior`)
}

/** The function that computes a prior; undefined where there is none. */
export function priorFunction(prior: Prior | PriorFunction): PriorFunction | undefined {
  return typeof prior === 'function' ? prior : namedPrior(prior)
}

function factory(value: unknown, rule: string): unknown {
  if (typeof value === 'function') return value
  throw new TypeError(`${WHERE}: ${rule}, got ${value === null ? 'null' : typeof value}`)
}

function within(value: number, name: string, range: string, isInside: (value: number) => boolean): number {
  if (Number.isFinite(value) && isInside(value)) return value
  throw new RangeError(`${WHERE}: ${name} must be a number in ${range}, got ${value}`)
}
