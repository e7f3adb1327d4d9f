import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { type Size2D, size2D } from '../../shapes.js'
import { mixesChannels } from '../activations.js'
import type { AuxiliaryTerm } from '../auxiliary-terms.js'
import { moveTowards } from '../batch-norm.js'
import {
  type LayerOptions,
  type ParsedConvolution,
  parseConvolution,
  routerSeed,
  serializedConvolution,
  tinyNormal,
  type WeightOptions,
} from '../standard-options.js'
import { checkMapShape, layerInput, oneOf, positiveInteger } from '../validation.js'
import { mapOfExperts } from './combine.js'
import { expertNamesConfig, expertNamesOf } from './expert-names.js'
import { ConvolutionExpert } from './experts/convolution-expert.js'
import type { Expert } from './experts/expert.js'
import { BORDERS, type Border } from './experts/expert-convolution.js'
import { type ExpertSettings, expertsOf } from './experts/kinds.js'
import { PRE_ACTIVATIONS, type PreActivation } from './experts/pre-activation.js'
import { GATE_SCALES, type Gate, type GateScale, gateNames } from './gates.js'
import { type MixtureParts, mixture } from './mixture.js'
import {
  checkPatchMoEOptions,
  convolutionOptions,
  multipleOf,
  oddSize,
  type PatchMoEOptions,
  WHERE,
  within,
} from './patch-moe-options.js'
import { type PatchGrid, patchGrid, windowTable } from './patches.js'
import { type Placement, placedChannels, placementOf, sideBySide } from './placement.js'
import { checkPatchesPerExpert, type Routing, routePatches, routerScores } from './routing.js'
import { addRoutingTerms, differentiableScores, routingTerms } from './routing-terms.js'

/**
 * Patch-level mixture of experts: a sparse drop-in for `conv2d({ filters, kernelSize, padding: 'same' })`.
 *
 * A router per expert scores every patch of the map, g_{j,s} = <w_s, x^(j)>; expert s convolves only the L patches that
 * it scores highest and weighs its output there by the gate G_{j,s} (Chowdhury et al., ICML 2023, section 3, eq. 3
 * and 4). Elsewhere its channels are 0:
 *
 *     y[b, patch j, s F..(s+1) F] = G_{j,s} activation(conv(preActivation(x^(j)), kernel_s) + bias_s)   for j in J_s
 *
 * Input (B,H,W,C), output (B,H,W,filters), float32. With L = N, gate 'uniform' and border 'halo' the layer equals the
 * Conv2D with the same kernel, to rounding.
 *
 * Weights, in this order: `router` (h,w,C,K), `kernel` (kh,kw,C,K F), `bias` (K F) if used, then with
 * batch-norm-relu `gamma`, `beta`, and, not trained, `moving_mean`, `moving_variance` (biased), each (K,C).
 *
 * Unknown options are refused; conv2d's `strides`, `padding`, `dilationRate`, `dataFormat` and `groups` are accepted with
 * the only values that they have here: 1, 'same', 1, 'channelsLast' and 1.
 *
 * Work and memory, forward and backward, are proportional to L/N, apart from the router's pass over the map.
 */
export class PatchMoE extends tfl.layers.Layer {
  /** @nocollapse */
  static readonly className = 'PatchMoE'

  readonly numExperts: number
  readonly expertNames: readonly string[]
  readonly patchSize: Size2D
  readonly filters: number
  /** Which of the output channels each expert owns. */
  readonly placement: Placement
  readonly kernelSize: Size2D
  readonly border: Border
  readonly gate: Gate
  readonly gateScale: GateScale
  readonly preActivation: PreActivation
  readonly useBias: boolean
  readonly routerTrainable: boolean
  readonly epsilon: number
  /** Share that a moving average keeps of itself at each training step. */
  momentum: number

  /** What the experts compute. */
  readonly experts: Expert
  /** The terms that the layer adds to the loss, where a training asks for them. */
  readonly auxiliaryTerms: readonly AuxiliaryTerm[]

  private readonly convolution: ParsedConvolution
  private readonly expertSettings: ExpertSettings | undefined
  private readonly routerOptions: ParsedConvolution
  private numKept: number
  private parts: MixtureParts<tf.Tensor4D> | undefined
  private readonly weightsByName = new Map<string, tfl.LayerVariable>()

  constructor(options: PatchMoEOptions) {
    checkPatchMoEOptions(options)
    super(options as LayerOptions as ConstructorParameters<typeof tfl.layers.Layer>[0])
    // tfjs writes the class name in snake case, as patch_mo_e.
    this.name = options.name ?? this.name.replace(/^patch_mo_e_/, 'patch_moe_')
    this.numExperts = positiveInteger(options.numExperts, `${WHERE}: numExperts`)
    this.numKept = positiveInteger(options.patchesPerExpert, `${WHERE}: patchesPerExpert`)
    this.auxiliaryTerms = routingTerms(this.numExperts)
    this.patchSize = size2D(options.patchSize, `${WHERE}: patchSize`)
    this.expertNames = expertNamesOf(options.expertNames, this.numExperts, WHERE)
    const { channelsOf } = options
    this.filters = channelsOf
      ? positiveInteger(options.filters, `${WHERE}: filters`)
      : multipleOf(options.filters, this.numExperts)
    this.placement = channelsOf
      ? placementOf(channelsOf, this.numExperts, this.filters, `${WHERE}: channelsOf`)
      : sideBySide(this.numExperts, this.filters / this.numExperts)
    this.kernelSize = oddSize(options.kernelSize ?? 3)
    this.border = oneOf(BORDERS, options.border ?? 'zero', `${WHERE}: border`)
    this.gate = oneOf(gateNames(), options.gate ?? 'softmax-selected', `${WHERE}: gate`)
    this.gateScale = oneOf(GATE_SCALES, options.gateScale ?? 'mean-one', `${WHERE}: gateScale`)
    this.preActivation = oneOf(PRE_ACTIVATIONS, options.preActivation ?? 'none', `${WHERE}: preActivation`)
    this.useBias = options.useBias ?? false
    this.routerTrainable = options.routerTrainable ?? true
    this.momentum = within(options.momentum ?? 0.99, 'momentum', value => value >= 0 && value < 1, '[0, 1)')
    this.epsilon = within(
      options.epsilon ?? 1e-3,
      'epsilon',
      value => value > 0 && value < Infinity,
      '(0, Infinity)',
    )
    this.convolution = parseConvolution(options, options.seed)
    this.expertSettings = options.expert
    this.experts = this.expertSettings
      ? this.registeredExperts(this.expertSettings, options)
      : this.convolutionExperts()
    this.checkActivation(this.convolution.activation.getClassName())
    this.routerOptions = parseConvolution(
      {
        kernelInitializer: options.routerInitializer ?? tinyNormal(routerSeed(options.seed)),
        kernelRegularizer: options.routerRegularizer,
        kernelConstraint: options.routerConstraint,
      },
      options.seed,
    )
  }

  override build(inputShape: tfl.Shape | tfl.Shape[]): void {
    const [height, width, channels] = checkMapShape(inputShape, WHERE)
    const grid = patchGrid([height, width], this.patchSize, WHERE)
    checkPatchesPerExpert(this.numKept, grid, WHERE)
    this.parts = this.partsFor(grid)
    const { routerOptions, numExperts } = this
    this.add('router', [...this.patchSize, channels, numExperts], routerOptions, this.routerTrainable)
    for (const { name, shape, options, average } of this.experts.weights(channels)) {
      this.add(name, [...shape], options, !average)
    }
    super.build(inputShape)
  }

  override computeOutputShape(inputShape: tfl.Shape | tfl.Shape[]): tfl.Shape {
    const [batch, height, width] = inputShape as tfl.Shape
    return [batch ?? null, height ?? null, width ?? null, this.filters]
  }

  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: Record<string, unknown>): tf.Tensor {
    const x = layerInput(inputs, WHERE)
    return tf.tidy(() => {
      this.invokeCallHook(inputs, kwargs)
      const experts = Object.fromEntries(
        [...this.weightsByName].flatMap(([name, weight]) =>
          name === 'router' ? [] : [[name, weight.read()]],
        ),
      )
      const router = this.read('router') as tf.Tensor4D
      const training = kwargs.training === true
      const scores = training
        ? addRoutingTerms(this, () => differentiableScores(x, router, this.grid))
        : undefined
      return mixture(x, { router, experts }, this.builtParts(), {
        training,
        scores,
        follow: averages => {
          const steps = Object.entries(averages).map(([name, value]) => [this.variable(name), value] as const)
          moveTowards(steps, this.momentum)
        },
      })
    })
  }

  /**
   * Which patches each expert keeps on these maps, and with which gates.
   *
   * @param x (B,H,W,C) float32, the layer's input; the layer must be built
   * @returns `indices` (B,K,L) int32, best patch first, and `gates` (B,K,L) float32 as they multiply the experts'
   *   outputs (gate scale included). The caller disposes both.
   */
  route(x: tf.Tensor4D): Routing {
    return tf.tidy(() => {
      const { routing, windows } = this.builtParts()
      const scores = routerScores(x, this.read('router') as tf.Tensor4D, windows.grid)
      const { indices, gates } = routePatches(scores, routing)
      return { indices, gates }
    })
  }

  /** L, the patches that each expert keeps; the configuration has the current number. */
  get patchesPerExpert(): number {
    return this.numKept
  }

  /**
   * Changes how many patches each expert keeps, from the next call on. No weight depends on it.
   *
   * @throws RangeError when it is not an integer in [1, N]
   */
  set patchesPerExpert(count: number) {
    if (this.parts) {
      checkPatchesPerExpert(count, this.parts.windows.grid, WHERE)
      this.parts = { ...this.parts, routing: { ...this.parts.routing, patchesPerExpert: count } }
    }
    this.numKept = positiveInteger(count, `${WHERE}: patchesPerExpert`)
  }

  /** The patches of the maps that the layer was built for. */
  get grid(): PatchGrid {
    return this.builtParts().windows.grid
  }

  /** All weights in the documented order, trained or not. */
  override get weights(): tfl.LayerVariable[] {
    return [...this.weightsByName.values()]
  }

  override set weights(_: tfl.LayerVariable[]) {
    throw new TypeError(`${WHERE}: weights must be set through setWeights(), got an assignment`)
  }

  override getConfig(): tf.serialization.ConfigDict {
    const router = serializedConvolution(this.routerOptions)
    return {
      ...super.getConfig(),
      numExperts: this.numExperts,
      patchesPerExpert: this.patchesPerExpert,
      patchSize: [...this.patchSize],
      filters: this.filters,
      ...this.channelsConfig(),
      ...expertNamesConfig(this.expertNames),
      gate: this.gate,
      gateScale: this.gateScale,
      ...(this.expertSettings ? { expert: this.expertSettings } : this.convolutionConfig()),
      routerInitializer: router.kernelInitializer ?? null,
      routerRegularizer: router.kernelRegularizer ?? null,
      routerConstraint: router.kernelConstraint ?? null,
      routerTrainable: this.routerTrainable,
      momentum: this.momentum,
    }
  }

  private convolutionConfig(): tf.serialization.ConfigDict {
    return {
      kernelSize: [...this.kernelSize],
      border: this.border,
      preActivation: this.preActivation,
      epsilon: this.epsilon,
      ...serializedConvolution(this.convolution),
      useBias: this.useBias,
    }
  }

  /** The channels of the experts, unless these are all, in their order. */
  private channelsConfig(): tf.serialization.ConfigDict {
    const channels = placedChannels(this.placement)
    const areAll = channels.length === this.filters && channels.every((channel, i) => channel === i)
    return areAll ? {} : { channelsOf: [...channels] }
  }

  private convolutionExperts(): Expert {
    const { numExperts, placement, patchSize, kernelSize, border, preActivation, useBias, epsilon } = this
    return new ConvolutionExpert({
      numExperts,
      filters: numExperts * placement.size,
      patchSize,
      kernelSize,
      border,
      preActivation,
      useBias,
      epsilon,
      convolution: this.convolution,
    })
  }

  private registeredExperts(settings: ExpertSettings, options: PatchMoEOptions): Expert {
    for (const name of convolutionOptions) {
      if (options[name] === undefined) continue
      throw new RangeError(
        `${WHERE}: ${name} must be left out with experts of another kind, got ${JSON.stringify(options[name])} ` +
          `(expert ${settings.kind})`,
      )
    }
    const { numExperts, placement, patchSize } = this
    const filters = numExperts * placement.size
    return expertsOf(settings, { numExperts, filters, patchSize, seed: options.seed }, WHERE)
  }

  private checkActivation(activation: string): void {
    if (this.numExperts === 1 || !mixesChannels(activation)) return
    throw new RangeError(
      `${WHERE}: activation must be of each channel by itself, got ${activation} (it runs over all ${this.numExperts * this.placement.size} ` +
        `filters, which ${this.numExperts} experts share out among them)`,
    )
  }

  private partsFor(grid: PatchGrid): MixtureParts<tf.Tensor4D> {
    const { patchesPerExpert, gate, gateScale, experts, placement } = this
    const windows = windowTable(grid, experts.reach)
    return {
      routing: { patchesPerExpert, gate, gateScale },
      experts,
      combination: mapOfExperts(windows, placement),
      windows,
    }
  }

  private builtParts(): MixtureParts<tf.Tensor4D> {
    if (!this.parts)
      throw new Error(`${WHERE}: the layer must be built before use, got layer ${this.name} without input`)
    return this.parts
  }

  private add(name: string, shape: number[], options: WeightOptions, trainable: boolean): void {
    const { initializer, regularizer, constraint } = options
    const weight = this.addWeight(name, shape, 'float32', initializer, regularizer, trainable, constraint)
    this.weightsByName.set(name, weight)
  }

  private read(name: string): tf.Tensor {
    return this.variable(name).read()
  }

  private variable(name: string): tfl.LayerVariable {
    return this.weightsByName.get(name) as tfl.LayerVariable
  }
}
tf.serialization.registerClass(PatchMoE)

/** Creates a {@link PatchMoE} layer. */
export function patchMoE(options: PatchMoEOptions): PatchMoE {
  return new PatchMoE(options)
}
