import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { checkOptionNames, type OptionNames } from '../../known-options.js'
import { type Size2D, size2D } from '../../shapes.js'
import type { AuxiliaryTerm } from '../auxiliary-terms.js'
import { handGradient } from '../hand-gradient.js'
import {
  type ConvolutionOptions,
  type LayerOptions,
  layerOptionNames,
  type ParsedConvolution,
  parseConvolution,
  routerSeed,
  serializedConvolution,
  tinyNormal,
} from '../standard-options.js'
import { checkMapShape, layerInput, oneOf, positiveInteger } from '../validation.js'
import { expertNamesConfig, expertNamesOf } from './expert-names.js'
import { GATE_SCALES, type Gate, type GateScale, gateNames, type ScoreGradient } from './gates.js'
import { type PatchGrid, patchGrid } from './patches.js'
import {
  checkPatchesPerExpert,
  type Routing,
  type RoutingRule,
  routePatches,
  routerScores,
  routerScoresGradient,
  scoreGradient,
} from './routing.js'
import { addRoutingTerms, differentiableScores, routingTerms } from './routing-terms.js'

/** Options of {@link PatchGate}. */
export interface PatchGateOptions extends LayerOptions {
  /** L in [1, N], where N = (H/h)(W/w). */
  readonly patchesPerExpert: number
  /** h, w in pixels of the map; must divide H and W. */
  readonly patchSize: number | readonly number[]
  /** Default 'softmax-selected' (eq. 4); the published WRN code uses 'softmax-all'. */
  readonly gate?: Gate
  /** Default 'none', as in the published code. */
  readonly gateScale?: GateScale
  /** Default N(0, 1e-4^2). */
  readonly routerInitializer?: ConvolutionOptions['kernelInitializer']
  /** What its one expert is called, one name; default ['0']. A pruned network keeps the names of before. */
  readonly expertNames?: readonly string[]
  /** Seed of the default initializer. */
  readonly seed?: number
}

const WHERE = 'PatchGate'

const optionNames = {
  ...layerOptionNames,
  patchesPerExpert: true,
  patchSize: true,
  gate: true,
  gateScale: true,
  routerInitializer: true,
  expertNames: true,
  seed: true,
} as const satisfies OptionNames<PatchGateOptions>

/**
 * The gate of one expert in its masking form, as the published code has it: the map times the gate on the L kept
 * patches, 0 elsewhere. It saves no work; it is here to rebuild the published networks. See {@link PatchMoE} for the
 * sparse form.
 *
 *     y[b, patch j] = G_j x^(j) for j in J, else 0      (Chowdhury et al., ICML 2023, eq. 4)
 *
 * Input and output (B,H,W,C) float32. Weight: `router` (h,w,C,1).
 */
export class PatchGate extends tfl.layers.Layer {
  /** @nocollapse */
  static readonly className = 'PatchGate'

  readonly expertNames: readonly string[]
  /** The terms that the layer adds to the loss, where a training asks for them. */
  readonly auxiliaryTerms: readonly AuxiliaryTerm[] = routingTerms(1)
  readonly patchSize: Size2D
  readonly gate: Gate
  readonly gateScale: GateScale

  private numKept: number
  private readonly routerOptions: ParsedConvolution
  private builtGrid: PatchGrid | undefined
  private router: tfl.LayerVariable | undefined

  constructor(options: PatchGateOptions) {
    checkOptionNames(WHERE, options, optionNames)
    super(options as LayerOptions as ConstructorParameters<typeof tfl.layers.Layer>[0])
    this.expertNames = expertNamesOf(options.expertNames, 1, WHERE)
    this.numKept = positiveInteger(options.patchesPerExpert, `${WHERE}: patchesPerExpert`)
    this.patchSize = size2D(options.patchSize, `${WHERE}: patchSize`)
    this.gate = oneOf(gateNames(), options.gate ?? 'softmax-selected', `${WHERE}: gate`)
    this.gateScale = oneOf(GATE_SCALES, options.gateScale ?? 'none', `${WHERE}: gateScale`)
    const { routerInitializer, seed } = options
    this.routerOptions = parseConvolution(
      { kernelInitializer: routerInitializer ?? tinyNormal(routerSeed(seed)) },
      seed,
    )
  }

  override build(inputShape: tfl.Shape | tfl.Shape[]): void {
    const [height, width, channels] = checkMapShape(inputShape, WHERE)
    const grid = patchGrid([height, width], this.patchSize, WHERE)
    checkPatchesPerExpert(this.patchesPerExpert, grid, WHERE)
    this.builtGrid = grid
    this.router = this.addWeight(
      'router',
      [...this.patchSize, channels, 1],
      'float32',
      this.routerOptions.initializer,
    )
    super.build(inputShape)
  }

  override computeOutputShape(inputShape: tfl.Shape | tfl.Shape[]): tfl.Shape {
    return inputShape as tfl.Shape
  }

  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: Record<string, unknown>): tf.Tensor {
    const x = layerInput(inputs, WHERE)
    return tf.tidy(() => {
      this.invokeCallHook(inputs, kwargs)
      const { router, grid } = this.parts()
      const scoring = router.read() as tf.Tensor4D
      const { patchesPerExpert } = this
      const scores =
        kwargs.training === true
          ? addRoutingTerms({ numExperts: 1, patchesPerExpert }, () => differentiableScores(x, scoring, grid))
          : undefined
      return gatePatches(x, scoring, this, grid, scores)
    })
  }

  /** As {@link PatchMoE.route}, with K = 1. */
  route(x: tf.Tensor4D): Routing {
    return tf.tidy(() => {
      const { router, grid } = this.parts()
      const { indices, gates } = routePatches(routerScores(x, router.read() as tf.Tensor4D, grid), this)
      return { indices, gates }
    })
  }

  /** L, the patches that it keeps; the configuration has the current number. */
  get patchesPerExpert(): number {
    return this.numKept
  }

  /**
   * Changes how many patches it keeps, from the next call on. No weight depends on it.
   *
   * @throws RangeError when it is not an integer in [1, N]
   */
  set patchesPerExpert(count: number) {
    if (this.builtGrid) checkPatchesPerExpert(count, this.builtGrid, WHERE)
    this.numKept = positiveInteger(count, `${WHERE}: patchesPerExpert`)
  }

  override getConfig(): tf.serialization.ConfigDict {
    return {
      ...super.getConfig(),
      patchSize: [...this.patchSize],
      patchesPerExpert: this.patchesPerExpert,
      gate: this.gate,
      gateScale: this.gateScale,
      ...expertNamesConfig(this.expertNames),
      routerInitializer: serializedConvolution(this.routerOptions).kernelInitializer ?? null,
    }
  }

  private parts(): { router: tfl.LayerVariable; grid: PatchGrid } {
    const { router, builtGrid: grid } = this
    if (router && grid) return { router, grid }
    throw new Error(`${WHERE}: the layer must be built before use, got layer ${this.name} without input`)
  }
}
tf.serialization.registerClass(PatchGate)

/** Creates a {@link PatchGate} layer. */
export function patchGate(options: PatchGateOptions): PatchGate {
  return new PatchGate(options)
}

function gatePatches(
  x: tf.Tensor4D,
  router: tf.Tensor4D,
  config: RoutingRule,
  grid: PatchGrid,
  scores?: tf.Tensor3D,
): tf.Tensor4D {
  return handGradient([x, router], () => {
    const routing = routePatches(scores ?? routerScores(x, router, grid), config)
    const mask = densePatches(routing.gates, routing.indices, grid)
    const { indices, gates, probabilities } = routing
    return {
      value: maskMap(x, mask, grid),
      saved: [x, mask, indices, gates, ...(probabilities ? [probabilities] : [])],
      gradient: (dy, saved) => gatePatchesGradient(dy, saved, router, config, grid),
    }
  })
}

function gatePatchesGradient(
  dy: tf.Tensor4D,
  saved: tf.Tensor[],
  router: tf.Tensor4D,
  config: RoutingRule,
  grid: PatchGrid,
): tf.Tensor[] {
  const [x, mask, indices, gates, probabilities] = saved as [
    tf.Tensor4D,
    tf.Tensor3D,
    tf.Tensor3D,
    tf.Tensor3D,
    tf.Tensor3D | undefined,
  ]
  const direct = maskMap(dy, mask, grid)
  const dGates = pickPatches(sumPatches(tf.mul(dy, x), grid), indices)
  const gradient = scoreGradient(
    dGates,
    { indices, gates, ...(probabilities ? { probabilities } : {}) },
    config,
    grid.count,
  )
  if (!gradient) return [direct, tf.zerosLike(router)]
  const { dx, dRouter } = routerScoresGradient(allScores(gradient, indices, grid), x, router, grid)
  return [tf.add(direct, dx), dRouter]
}

/** (B,K,L) int32 -> (B,K,L,N): tf.oneHot has no depth of 1, which a map of one patch needs. */
function oneHot(indices: tf.Tensor3D, patches: number): tf.Tensor {
  return patches === 1 ? tf.expandDims(tf.onesLike(indices), 3) : tf.oneHot(indices, patches)
}

/** (B,K,L) values on kept patches -> (B,K,N), 0 on the others. */
function densePatches(values: tf.Tensor3D, indices: tf.Tensor3D, grid: PatchGrid): tf.Tensor3D {
  return tf.sum(tf.mul(oneHot(indices, grid.count), tf.expandDims(values, 3)), 2)
}

/** (B,1,N) -> the values at `indices` (B,1,L). */
function pickPatches(values: tf.Tensor3D, indices: tf.Tensor3D): tf.Tensor3D {
  const patches = values.shape[2]
  return tf.sum(tf.mul(oneHot(indices, patches), tf.expandDims(values, 2)), 3)
}

function allScores(gradient: ScoreGradient, indices: tf.Tensor3D, grid: PatchGrid): tf.Tensor3D {
  const dKept = densePatches(gradient.kept, indices, grid)
  return gradient.all ? tf.add(dKept, gradient.all) : dKept
}

/** Multiplies every patch of the map by its number in mask (B,1,N). */
function maskMap(x: tf.Tensor4D, mask: tf.Tensor3D, grid: PatchGrid): tf.Tensor4D {
  const [batch, , , channels] = x.shape
  const { cells, patch } = grid
  const bands = tf.reshape(x, [batch * cells[0], patch[0], cells[1], patch[1] * channels])
  return tf.reshape(tf.mul(bands, tf.reshape(mask, [batch * cells[0], 1, cells[1], 1])), x.shape)
}

/** (B,1,N): each patch's sum over its pixels and channels. */
function sumPatches(x: tf.Tensor4D, grid: PatchGrid): tf.Tensor3D {
  const [batch, , , channels] = x.shape
  const { cells, patch } = grid
  const bands = tf.reshape(x, [batch * cells[0], patch[0], cells[1], patch[1] * channels])
  return tf.reshape(tf.sum(bands, [1, 3]), [batch, 1, grid.count])
}
