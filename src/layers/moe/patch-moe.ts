import * as tf from '@tensorflow/tfjs'
import { checkOptionNames, type OptionNames } from '../../known-options.js'
import { isPositiveInteger, type Size2D, size2D } from '../../shapes.js'
import { mixesChannels } from '../activations.js'
import { moveTowards } from '../batch-norm.js'
import {
  type ConvolutionOptions,
  convolutionKeys,
  type LayerOptions,
  layerOptionNames,
  type ParsedConvolution,
  parseConvolution,
  routerSeed,
  serializedConvolution,
  tinyNormal,
  type WeightOptions,
} from '../standard-options.js'
import { checkMapShape, layerInput, oneOf, positiveInteger } from '../validation.js'
import { mapOfExperts } from './combine.js'
import { ConvolutionExpert } from './experts/convolution-expert.js'
import type { Expert } from './experts/expert.js'
import { BORDERS, type Border } from './experts/expert-convolution.js'
import { type ExpertSettings, expertsOf } from './experts/kinds.js'
import { PRE_ACTIVATIONS, type PreActivation } from './experts/pre-activation.js'
import { GATE_SCALES, type Gate, type GateScale, gateNames } from './gates.js'
import { type MixtureParts, mixture } from './mixture.js'
import { type PatchGrid, patchGrid, windowTable } from './patches.js'
import { checkPatchesPerExpert, type Routing, routePatches, routerScores } from './routing.js'

/** Options of {@link PatchMoE}; those of tfjs-layers' `conv2d` mean the same. */
export interface PatchMoEOptions extends LayerOptions, ConvolutionOptions {
  /** K >= 1. */
  readonly numExperts: number
  /** L in [1, N], where N = (H/h)(W/w). */
  readonly patchesPerExpert: number
  /** h, w in pixels of the map; must divide H and W. */
  readonly patchSize: number | readonly number[]
  /** Output channels of all experts together, a multiple of K. Expert s owns channels [s F, (s+1) F). */
  readonly filters: number
  /** Odd; 'same' convolution, stride 1. Default 3. */
  readonly kernelSize?: number | readonly number[]
  /** What a convolution sees past its patch: zeros, or the true neighbours in the map. Default 'zero'. */
  readonly border?: Border
  /** Default 'softmax-selected' (eq. 4). */
  readonly gate?: Gate
  /** Default 'mean-one': an expert's output keeps the magnitude of a convolution's. */
  readonly gateScale?: GateScale
  /** What an expert does to its kept patches before its convolution. Default 'none'. */
  readonly preActivation?: PreActivation
  /** Default N(0, 1e-4^2), tiny as in eq. (7). */
  readonly routerInitializer?: ConvolutionOptions['kernelInitializer']
  readonly routerRegularizer?: ConvolutionOptions['kernelRegularizer']
  readonly routerConstraint?: ConvolutionOptions['kernelConstraint']
  /** Default true. */
  readonly routerTrainable?: boolean
  /** Of the moving averages of batch-norm-relu experts, in [0, 1). Default 0.99. */
  readonly momentum?: number
  /** Added to variances of batch-norm-relu experts, > 0. Default 1e-3. */
  readonly epsilon?: number
  /**
   * Experts of another kind than convolutions, registered by `registerExpert`, and their settings. Options of
   * convolutions are left out then.
   */
  readonly expert?: ExpertSettings
  /** Seed of the default initializers. */
  readonly seed?: number
}

const WHERE = 'PatchMoE'

const optionNames = {
  ...layerOptionNames,
  numExperts: true,
  patchesPerExpert: true,
  patchSize: true,
  filters: true,
  kernelSize: true,
  border: true,
  gate: true,
  gateScale: true,
  preActivation: true,
  routerInitializer: true,
  routerRegularizer: true,
  routerConstraint: true,
  routerTrainable: true,
  momentum: true,
  epsilon: true,
  expert: true,
  seed: true,
  useBias: true,
  activation: true,
  kernelInitializer: true,
  kernelRegularizer: true,
  kernelConstraint: true,
  biasInitializer: true,
  biasRegularizer: true,
  biasConstraint: true,
} as const satisfies OptionNames<PatchMoEOptions>

/** Options of the experts that convolve; `momentum` is the layer's. */
const convolutionOptions = ['kernelSize', 'border', 'preActivation', 'epsilon', ...convolutionKeys] as const

/** Options of conv2d that have one value here: a PatchMoE keeps the size of its map. */
const fixedOptions = {
  strides: 1,
  padding: 'same',
  dilationRate: 1,
  dataFormat: 'channelsLast',
  groups: 1,
} as const

const acceptedNames = {
  ...optionNames,
  strides: false,
  padding: false,
  dilationRate: false,
  dataFormat: false,
  groups: false,
} as const satisfies OptionNames<PatchMoEOptions & typeof fixedOptions>

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
 * Weights, in this order: `router` (h,w,C,K), `kernel` (kh,kw,C,filters), `bias` (filters) if used, then with
 * batch-norm-relu `gamma`, `beta`, and, not trained, `moving_mean`, `moving_variance` (biased), each (K,C).
 *
 * Options that it does not have are refused; conv2d's `strides`, `padding`, `dilationRate`, `dataFormat` and `groups`
 * may be given as what they always are here: 1, 'same', 1, 'channelsLast' and 1.
 *
 * Work and memory, forward and backward, are proportional to L/N, apart from the router's pass over the map.
 */
export class PatchMoE extends tf.layers.Layer {
  /** @nocollapse */
  static readonly className = 'PatchMoE'

  readonly numExperts: number
  readonly patchSize: Size2D
  readonly filters: number
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

  private readonly convolution: ParsedConvolution
  private readonly expert: ExpertSettings | undefined
  private readonly routerOptions: ParsedConvolution
  private kept: number
  private parts: MixtureParts<tf.Tensor4D> | undefined
  private readonly named = new Map<string, tf.LayerVariable>()

  constructor(options: PatchMoEOptions) {
    checkNames(options)
    super(options as LayerOptions as ConstructorParameters<typeof tf.layers.Layer>[0])
    // tfjs writes the class name in snake case, as patch_mo_e.
    this.name = options.name ?? this.name.replace(/^patch_mo_e_/, 'patch_moe_')
    this.numExperts = positiveInteger(options.numExperts, `${WHERE}: numExperts`)
    this.kept = positiveInteger(options.patchesPerExpert, `${WHERE}: patchesPerExpert`)
    this.patchSize = size2D(options.patchSize, `${WHERE}: patchSize`)
    this.filters = multipleOf(options.filters, this.numExperts)
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
    this.expert = options.expert
    this.experts = this.expert ? this.otherExperts(this.expert, options) : this.convolutions()
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

  override build(inputShape: tf.Shape | tf.Shape[]): void {
    const [height, width, channels] = checkMapShape(inputShape, WHERE)
    const grid = patchGrid([height, width], this.patchSize, WHERE)
    checkPatchesPerExpert(this.kept, grid, WHERE)
    this.parts = this.partsFor(grid)
    const { routerOptions, numExperts } = this
    this.add('router', [...this.patchSize, channels, numExperts], routerOptions, this.routerTrainable)
    for (const { name, shape, options, average } of this.experts.weights(channels)) {
      this.add(name, [...shape], options, !average)
    }
    super.build(inputShape)
  }

  override computeOutputShape(inputShape: tf.Shape | tf.Shape[]): tf.Shape {
    const [batch, height, width] = inputShape as tf.Shape
    return [batch ?? null, height ?? null, width ?? null, this.filters]
  }

  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: Record<string, unknown>): tf.Tensor {
    const x = layerInput(inputs, WHERE)
    return tf.tidy(() => {
      this.invokeCallHook(inputs, kwargs)
      const experts = Object.fromEntries(
        [...this.named].flatMap(([name, weight]) => (name === 'router' ? [] : [[name, weight.read()]])),
      )
      return mixture(x, { router: this.read('router') as tf.Tensor4D, experts }, this.builtParts(), {
        training: kwargs.training === true,
        follow: averages => {
          for (const [name, value] of Object.entries(averages))
            moveTowards(this.variable(name), value, this.momentum)
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
    return this.kept
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
    this.kept = positiveInteger(count, `${WHERE}: patchesPerExpert`)
  }

  /** The patches of the maps that the layer was built for. */
  get grid(): PatchGrid {
    return this.builtParts().windows.grid
  }

  /** In the order of the contract, whichever of them are trained. */
  override get weights(): tf.LayerVariable[] {
    return [...this.named.values()]
  }

  override set weights(_: tf.LayerVariable[]) {
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
      gate: this.gate,
      gateScale: this.gateScale,
      ...(this.expert ? { expert: this.expert } : this.convolutionConfig()),
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

  private convolutions(): Expert {
    const { numExperts, filters, patchSize, kernelSize, border, preActivation, useBias, epsilon } = this
    return new ConvolutionExpert({
      numExperts,
      filters,
      patchSize,
      kernelSize,
      border,
      preActivation,
      useBias,
      epsilon,
      convolution: this.convolution,
    })
  }

  private otherExperts(settings: ExpertSettings, options: PatchMoEOptions): Expert {
    for (const name of convolutionOptions) {
      if (options[name] === undefined) continue
      throw new RangeError(
        `${WHERE}: ${name} must be left out with experts of another kind, got ${JSON.stringify(options[name])} ` +
          `(expert ${settings.kind})`,
      )
    }
    const { numExperts, filters, patchSize } = this
    return expertsOf(settings, { numExperts, filters, patchSize, seed: options.seed }, WHERE)
  }

  private checkActivation(activation: string): void {
    if (this.numExperts === 1 || !mixesChannels(activation)) return
    throw new RangeError(
      `${WHERE}: activation must be of each channel by itself, got ${activation} (it runs over all ${this.filters} ` +
        `filters, which ${this.numExperts} experts share out among them)`,
    )
  }

  private partsFor(grid: PatchGrid): MixtureParts<tf.Tensor4D> {
    const { patchesPerExpert, gate, gateScale, experts } = this
    const windows = windowTable(grid, experts.reach)
    return {
      routing: { patchesPerExpert, gate, gateScale },
      experts,
      combination: mapOfExperts(windows),
      windows,
    }
  }

  private builtParts(): MixtureParts<tf.Tensor4D> {
    if (!this.parts)
      throw new Error(`${WHERE}: the layer must be built before use, got layer ${this.name} without input`)
    return this.parts
  }

  private add(name: string, shape: number[], how: WeightOptions, trainable: boolean): void {
    const { initializer, regularizer, constraint } = how
    const weight = this.addWeight(name, shape, 'float32', initializer, regularizer, trainable, constraint)
    this.named.set(name, weight)
  }

  private read(name: string): tf.Tensor {
    return this.variable(name).read()
  }

  private variable(name: string): tf.LayerVariable {
    return this.named.get(name) as tf.LayerVariable
  }
}
tf.serialization.registerClass(PatchMoE)

/** Creates a {@link PatchMoE} layer. */
export function patchMoE(options: PatchMoEOptions): PatchMoE {
  return new PatchMoE(options)
}

function checkNames(options: PatchMoEOptions): void {
  checkOptionNames(WHERE, options, acceptedNames)
  for (const [name, fixed] of Object.entries(fixedOptions)) {
    const value = (options as unknown as Record<string, unknown>)[name] ?? fixed
    if ([value].flat().every(side => side === fixed)) continue
    throw new RangeError(`${WHERE}: ${name} must be ${fixed}, got ${value} (it keeps the size of its map)`)
  }
}

function multipleOf(filters: number, numExperts: number): number {
  if (isPositiveInteger(filters) && filters % numExperts === 0) return filters
  throw new RangeError(
    `${WHERE}: filters must be a positive multiple of numExperts, got ${filters} (${numExperts} experts)`,
  )
}

function oddSize(size: number | readonly number[]): Size2D {
  const [height, width] = size2D(size, `${WHERE}: kernelSize`)
  if (height % 2 === 1 && width % 2 === 1) return [height, width]
  throw new RangeError(`${WHERE}: kernelSize must be odd, got ${height}x${width}`)
}

function within(value: number, name: string, allowed: (value: number) => boolean, range: string): number {
  if (allowed(value)) return value
  throw new RangeError(`${WHERE}: ${name} must be in ${range}, got ${value}`)
}
