import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { checkOptionNames, type OptionNames } from '../../known-options.js'
import { deriveSeed } from '../../random.js'
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
import { sumOfExperts } from './combine.js'
import { expertNamesConfig, expertNamesOf } from './expert-names.js'
import type { ExpertWeight } from './experts/expert.js'
import { NeuronExpert } from './experts/neuron-expert.js'
import { type Gate, gateNames } from './gates.js'
import { type MixtureParts, mixture } from './mixture.js'
import { type PatchGrid, patchGrid, patchVectors, windowTable } from './patches.js'
import { checkPatchesPerExpert, type Routing, routePatches, routerScores } from './routing.js'
import { addRoutingTerms, differentiableScores, routingTerms } from './routing-terms.js'

/** What the sum over patches is divided by: the L kept ones (the text) or all N (the published code). */
export const NORMALIZERS = ['selected', 'all'] as const
export type Normalizer = (typeof NORMALIZERS)[number]

/** Options of {@link TwoLayerExperts}. */
export interface TwoLayerExpertsOptions extends LayerOptions {
  /** K >= 1. */
  readonly numExperts: number
  /** L in [1, N]. */
  readonly patchesPerExpert: number
  /** h, w in pixels; must divide H and W. */
  readonly patchSize: number | readonly number[]
  /** m, hidden neurons of all experts together, a multiple of K. */
  readonly hiddenUnits: number
  /** Outputs, at least 1. */
  readonly outputs: number
  /** Default 'softmax-selected' (eq. 4). */
  readonly gate?: Gate
  /** Default 'selected', 1/l as in eq. (1). */
  readonly normalizer?: Normalizer
  /** Default N(0, 1e-4^2), tiny as in eq. (7). */
  readonly routerInitializer?: ConvolutionOptions['kernelInitializer']
  /** Default N(0, 1/m), eq. (8). */
  readonly kernelInitializer?: ConvolutionOptions['kernelInitializer']
  /** Of the frozen head; default N(0, 1). */
  readonly headInitializer?: ConvolutionOptions['kernelInitializer']
  /** Default true. */
  readonly routerTrainable?: boolean
  /** What the experts are called, K different names; default their numbers. A pruned layer keeps the names of before. */
  readonly expertNames?: readonly string[]
  /** Seed of the default initializers. */
  readonly seed?: number
}

const WHERE = 'TwoLayerExperts'

const optionNames = {
  ...layerOptionNames,
  numExperts: true,
  patchesPerExpert: true,
  patchSize: true,
  hiddenUnits: true,
  outputs: true,
  gate: true,
  normalizer: true,
  routerInitializer: true,
  kernelInitializer: true,
  headInitializer: true,
  routerTrainable: true,
  expertNames: true,
  seed: true,
} as const satisfies OptionNames<TwoLayerExpertsOptions>

/**
 * The two-layer pMoE of the theory (Chowdhury et al., ICML 2023, eq. 1), with one head a_i per output (appendix M):
 *
 *     f_i(x) = sum_s sum_r (a_{r,s,i} / l) sum_{j in J_s} ReLU(<w_{r,s}, x^(j)>) G_{j,s}
 *
 * With K = 1, L = N and gate 'uniform' it is the CNN counterpart, eq. (5).
 *
 * Input (B,H,W,C), output (B,outputs), float32. Weights: `router` (h,w,C,K), `kernel` (h,w,C,m), neuron r of expert s at
 * s (m/K) + r, and `head` (m,outputs), never trained. Work is proportional to L/N, apart from the routers' pass.
 */
export class TwoLayerExperts extends tfl.layers.Layer {
  /** @nocollapse */
  static readonly className = 'TwoLayerExperts'

  readonly numExperts: number
  readonly expertNames: readonly string[]
  readonly patchSize: Size2D
  readonly hiddenUnits: number
  readonly outputs: number
  readonly gate: Gate
  readonly normalizer: Normalizer
  readonly routerTrainable: boolean
  /** The terms that the layer adds to the loss, where a training asks for them. */
  readonly auxiliaryTerms: readonly AuxiliaryTerm[]

  private numKept: number
  private readonly routerOptions: ParsedConvolution
  /** What the experts compute. */
  readonly experts: NeuronExpert

  private readonly kernelOptions: ParsedConvolution
  private readonly headOptions: ParsedConvolution
  private builtParts:
    | {
        router: tfl.LayerVariable
        kernel: tfl.LayerVariable
        head: tfl.LayerVariable
        mixture: MixtureParts<tf.Tensor2D>
      }
    | undefined

  constructor(options: TwoLayerExpertsOptions) {
    checkOptionNames(WHERE, options, optionNames)
    super(options as LayerOptions as ConstructorParameters<typeof tfl.layers.Layer>[0])
    this.numExperts = positiveInteger(options.numExperts, `${WHERE}: numExperts`)
    this.expertNames = expertNamesOf(options.expertNames, this.numExperts, WHERE)
    this.numKept = positiveInteger(options.patchesPerExpert, `${WHERE}: patchesPerExpert`)
    this.auxiliaryTerms = routingTerms(this.numExperts)
    this.patchSize = size2D(options.patchSize, `${WHERE}: patchSize`)
    this.outputs = positiveInteger(options.outputs, `${WHERE}: outputs`)
    this.hiddenUnits = positiveInteger(options.hiddenUnits, `${WHERE}: hiddenUnits`)
    if (this.hiddenUnits % this.numExperts !== 0) {
      throw new RangeError(
        `${WHERE}: hiddenUnits must be a multiple of numExperts, got ${this.hiddenUnits} (${this.numExperts} experts)`,
      )
    }
    this.gate = oneOf(gateNames(), options.gate ?? 'softmax-selected', `${WHERE}: gate`)
    this.normalizer = oneOf(NORMALIZERS, options.normalizer ?? 'selected', `${WHERE}: normalizer`)
    this.routerTrainable = options.routerTrainable ?? true
    const { seed } = options
    const weight = (initializer: ConvolutionOptions['kernelInitializer']) =>
      parseConvolution({ kernelInitializer: initializer }, seed)
    this.routerOptions = weight(options.routerInitializer ?? tinyNormal(routerSeed(seed)))
    this.kernelOptions = weight(
      options.kernelInitializer ?? normal(1 / Math.sqrt(this.hiddenUnits), seed, 'kernel'),
    )
    const { numExperts, patchSize } = this
    this.experts = new NeuronExpert({
      numExperts,
      patchSize,
      hiddenUnits: this.hiddenUnits,
      kernel: this.kernelOptions,
    })
    this.headOptions = weight(options.headInitializer ?? normal(1, seed, 'head'))
  }

  override build(inputShape: tfl.Shape | tfl.Shape[]): void {
    const [height, width, channels] = checkMapShape(inputShape, WHERE)
    const grid = patchGrid([height, width], this.patchSize, WHERE)
    checkPatchesPerExpert(this.patchesPerExpert, grid, WHERE)
    const patch = [...this.patchSize, channels]
    const add = (name: string, shape: number[], options: ParsedConvolution, trainable: boolean) =>
      this.addWeight(name, shape, 'float32', options.initializer, undefined, trainable)
    const { experts } = this
    const [{ shape }] = experts.weights(channels) as [ExpertWeight]
    const windows = windowTable(grid, experts.reach)
    this.builtParts = {
      router: add('router', [...patch, this.numExperts], this.routerOptions, this.routerTrainable),
      kernel: add('kernel', [...shape], this.kernelOptions, true),
      head: add('head', [this.hiddenUnits, this.outputs], this.headOptions, false),
      mixture: { experts, windows, ...this.keeping(grid) },
    }
    super.build(inputShape)
  }

  override computeOutputShape(inputShape: tfl.Shape | tfl.Shape[]): tfl.Shape {
    return [(inputShape as tfl.Shape)[0] ?? null, this.outputs]
  }

  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: Record<string, unknown>): tf.Tensor {
    const x = layerInput(inputs, WHERE)
    return tf.tidy(() => {
      this.invokeCallHook(inputs, kwargs)
      const { router, kernel, head, mixture } = this.parts()
      const scoring = router.read() as tf.Tensor4D
      const scores =
        kwargs.training === true
          ? addRoutingTerms(this, () => differentiableScores(x, scoring, this.grid))
          : undefined
      const hidden = hiddenUnits(x, scoring, kernel.read() as tf.Tensor4D, mixture, scores)
      return tf.matMul(hidden, head.read() as tf.Tensor2D)
    })
  }

  /** As `PatchMoE.route`: indices (B,K,L) int32 and gates (B,K,L). The caller disposes both. */
  route(x: tf.Tensor4D): Routing {
    return tf.tidy(() => {
      const { router, mixture } = this.parts()
      const scores = routerScores(x, router.read() as tf.Tensor4D, mixture.windows.grid)
      const { indices, gates } = routePatches(scores, mixture.routing)
      return { indices, gates }
    })
  }

  /**
   * What each expert adds to the outputs: their sum over experts is what the layer computes.
   *
   * @param x (B,H,W,C) float32
   * @returns (B,K,outputs). The caller disposes it.
   */
  contributions(x: tf.Tensor4D): tf.Tensor3D {
    return tf.tidy(() => {
      const { router, kernel, head, mixture } = this.parts()
      const hidden = hiddenUnits(x, router.read() as tf.Tensor4D, kernel.read() as tf.Tensor4D, mixture)
      const perExpert = tf.reshape(hidden, [x.shape[0], this.numExperts, this.experts.size])
      const heads = tf.reshape(head.read(), [this.numExperts, this.experts.size, this.outputs])
      return tf.transpose(tf.matMul(tf.transpose(perExpert, [1, 0, 2]), heads), [1, 0, 2])
    })
  }

  /** The patches of the images that the layer was built for. */
  get grid(): PatchGrid {
    return this.parts().mixture.windows.grid
  }

  /** L, the patches that each expert keeps; the configuration has the current number. */
  get patchesPerExpert(): number {
    return this.numKept
  }

  /**
   * Changes how many patches each expert keeps, from the next call on; with normalizer 'selected' their sum is divided by
   * the new number. No weight depends on it.
   *
   * @throws RangeError when it is not an integer in [1, N]
   */
  set patchesPerExpert(count: number) {
    if (this.builtParts) checkPatchesPerExpert(count, this.grid, WHERE)
    this.numKept = positiveInteger(count, `${WHERE}: patchesPerExpert`)
    if (!this.builtParts) return
    const { mixture } = this.builtParts
    this.builtParts = { ...this.builtParts, mixture: { ...mixture, ...this.keeping(this.grid) } }
  }

  /** Router, kernel and head in this order, trained or not. */
  override get weights(): tfl.LayerVariable[] {
    return this.builtParts ? [this.builtParts.router, this.builtParts.kernel, this.builtParts.head] : []
  }

  override getConfig(): tf.serialization.ConfigDict {
    const initializer = (parsed: ParsedConvolution) => serializedConvolution(parsed).kernelInitializer ?? null
    return {
      ...super.getConfig(),
      numExperts: this.numExperts,
      patchesPerExpert: this.patchesPerExpert,
      patchSize: [...this.patchSize],
      hiddenUnits: this.hiddenUnits,
      outputs: this.outputs,
      gate: this.gate,
      normalizer: this.normalizer,
      ...expertNamesConfig(this.expertNames),
      routerInitializer: initializer(this.routerOptions),
      kernelInitializer: initializer(this.kernelOptions),
      headInitializer: initializer(this.headOptions),
      routerTrainable: this.routerTrainable,
    }
  }

  /** The parts that depend on L. */
  private keeping(grid: PatchGrid): Pick<MixtureParts<tf.Tensor2D>, 'routing' | 'combination'> {
    const { patchesPerExpert, gate, normalizer } = this
    return {
      routing: { patchesPerExpert, gate, gateScale: 'none' },
      combination: sumOfExperts(normalizer === 'selected' ? patchesPerExpert : grid.count),
    }
  }

  private parts() {
    if (this.builtParts) return this.builtParts
    throw new Error(`${WHERE}: the layer must be built before use, got layer ${this.name} without input`)
  }
}
tf.serialization.registerClass(TwoLayerExperts)

/** Creates a {@link TwoLayerExperts} layer. */
export function twoLayerExperts(options: TwoLayerExpertsOptions): TwoLayerExperts {
  return new TwoLayerExperts(options)
}

/**
 * (B,m): (1/l) sum_{j in J_s} ReLU(<w_{r,s}, x^(j)>) G_{j,s} of every neuron, the router's gradient being eq. (26).
 */
function hiddenUnits(
  x: tf.Tensor4D,
  router: tf.Tensor4D,
  kernel: tf.Tensor4D,
  parts: MixtureParts<tf.Tensor2D>,
  scores?: tf.Tensor3D,
): tf.Tensor2D {
  const { routing, windows, combination } = parts
  const everyPatch = routing.gate === 'uniform' && routing.patchesPerExpert === windows.grid.count
  if (everyPatch) return hiddenUnitsOfAll(x, kernel, windows.grid, combination.divisor)
  return mixture(x, { router, experts: { kernel } }, parts, { training: false, scores, follow: () => {} })
}

/** For eq. (5), where every expert reads every patch and all gates are 1: one product over all patches, without routing. */
function hiddenUnitsOfAll(
  x: tf.Tensor4D,
  kernel: tf.Tensor4D,
  grid: PatchGrid,
  divisor: number,
): tf.Tensor2D {
  const [batch] = x.shape
  const { count } = grid
  const neurons = kernel.shape[3]
  const patches: tf.Tensor2D = tf.reshape(patchVectors(x, grid), [batch * count, -1])
  const linear = tf.matMul(patches, tf.reshape(kernel, [-1, neurons]) as tf.Tensor2D) // (B N, m)
  const hidden = tf.div(tf.sum(tf.reshape(tf.relu(linear), [batch, count, neurons]), 1), divisor)
  return handGradient([hidden], () => {
    // 0, or NaN for an image that holds NaN or an infinite number, which ReLU may hide.
    const notFinite = tf.sum(tf.reshape(tf.mul(linear, 0), [batch, -1]), 1, true)
    return { value: tf.add(hidden, notFinite) as tf.Tensor2D, saved: [], gradient: dy => [dy.clone()] }
  })
}

function normal(stddev: number, seed: number | undefined, purpose: string) {
  return tfl.initializers.randomNormal({
    mean: 0,
    stddev,
    ...(seed === undefined ? {} : { seed: deriveSeed(seed, purpose) }),
  })
}
