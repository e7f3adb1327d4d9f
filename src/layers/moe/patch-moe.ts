import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { checkOptionNames, type OptionNames } from '../../known-options.js'
import { isPositiveInteger, type Size2D, size2D } from '../../shapes.js'
import { activationFunction, mixesChannels } from '../activations.js'
import { moveTowards } from '../batch-norm.js'
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
import { BORDERS, type Border } from './experts/expert-convolution.js'
import { type ExpertMoments, PRE_ACTIVATIONS, type PreActivation } from './experts/pre-activation.js'
import { type MomentsSource, type SparseExpertsRule, sparseExperts } from './mixture.js'
import { type PatchGrid, patchGrid, windowTable } from './patches.js'
import {
  checkPatchesPerExpert,
  GATE_SCALES,
  GATES,
  type Gate,
  type GateScale,
  type Routing,
  routePatches,
  routerScores,
} from './routing.js'

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
export class PatchMoE extends tfl.layers.Layer {
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

  private readonly convolution: ParsedConvolution
  private readonly routerOptions: ParsedConvolution
  private kept: number
  private rule: SparseExpertsRule | undefined
  private readonly named = new Map<string, tfl.LayerVariable>()

  constructor(options: PatchMoEOptions) {
    checkNames(options)
    super(options as LayerOptions as ConstructorParameters<typeof tfl.layers.Layer>[0])
    // tfjs writes the class name in snake case, as patch_mo_e.
    this.name = options.name ?? this.name.replace(/^patch_mo_e_/, 'patch_moe_')
    this.numExperts = positiveInteger(options.numExperts, `${WHERE}: numExperts`)
    this.kept = positiveInteger(options.patchesPerExpert, `${WHERE}: patchesPerExpert`)
    this.patchSize = size2D(options.patchSize, `${WHERE}: patchSize`)
    this.filters = multipleOf(options.filters, this.numExperts)
    this.kernelSize = oddSize(options.kernelSize ?? 3)
    this.border = oneOf(BORDERS, options.border ?? 'zero', `${WHERE}: border`)
    this.gate = oneOf(GATES, options.gate ?? 'softmax-selected', `${WHERE}: gate`)
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
    checkPatchesPerExpert(this.kept, grid, WHERE)
    this.rule = this.ruleFor(grid)
    const { convolution, routerOptions, numExperts } = this
    this.add('router', [...this.patchSize, channels, numExperts], routerOptions, this.routerTrainable)
    this.add('kernel', [...this.kernelSize, channels, this.filters], convolution, true)
    if (this.useBias) this.add('bias', [this.filters], convolution.bias, true)
    if (this.preActivation === 'batch-norm-relu') {
      const shape = [numExperts, channels]
      this.add('gamma', shape, { initializer: tfl.initializers.ones() }, true)
      this.add('beta', shape, { initializer: tfl.initializers.zeros() }, true)
      this.add('moving_mean', shape, { initializer: tfl.initializers.zeros() }, false)
      this.add('moving_variance', shape, { initializer: tfl.initializers.ones() }, false)
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
      const rule = this.builtRule()
      const weights = {
        router: this.read('router') as tf.Tensor4D,
        kernel: this.read('kernel') as tf.Tensor4D,
        ...(this.useBias ? { bias: this.read('bias') as tf.Tensor1D } : {}),
        ...(this.normalises
          ? { gamma: this.read('gamma') as tf.Tensor2D, beta: this.read('beta') as tf.Tensor2D }
          : {}),
      }
      return sparseExperts(x, weights, rule, this.momentsSource(kwargs.training === true))
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
      const rule = this.builtRule()
      const scores = routerScores(x, this.read('router') as tf.Tensor4D, rule.windows.grid)
      const { indices, gates } = routePatches(scores, rule)
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
    if (this.rule) {
      checkPatchesPerExpert(count, this.rule.windows.grid, WHERE)
      this.rule = { ...this.rule, patchesPerExpert: count }
    }
    this.kept = positiveInteger(count, `${WHERE}: patchesPerExpert`)
  }

  /** The patches of the maps that the layer was built for. */
  get grid(): PatchGrid {
    return this.builtRule().windows.grid
  }

  /** In the order of the contract, whichever of them are trained. */
  override get weights(): tfl.LayerVariable[] {
    return [...this.named.values()]
  }

  override set weights(_: tfl.LayerVariable[]) {
    throw new TypeError(`${WHERE}: weights must be set through setWeights(), got an assignment`)
  }

  override getConfig(): tf.serialization.ConfigDict {
    const { useBias, ...convolution } = serializedConvolution(this.convolution)
    const router = serializedConvolution(this.routerOptions)
    return {
      ...super.getConfig(),
      numExperts: this.numExperts,
      patchesPerExpert: this.patchesPerExpert,
      patchSize: [...this.patchSize],
      filters: this.filters,
      kernelSize: [...this.kernelSize],
      border: this.border,
      gate: this.gate,
      gateScale: this.gateScale,
      preActivation: this.preActivation,
      useBias: this.useBias,
      ...convolution,
      routerInitializer: router.kernelInitializer ?? null,
      routerRegularizer: router.kernelRegularizer ?? null,
      routerConstraint: router.kernelConstraint ?? null,
      routerTrainable: this.routerTrainable,
      momentum: this.momentum,
      epsilon: this.epsilon,
    }
  }

  private checkActivation(activation: string): void {
    if (this.numExperts === 1 || !mixesChannels(activation)) return
    throw new RangeError(
      `${WHERE}: activation must be of each channel by itself, got ${activation} (it runs over all ${this.filters} ` +
        `filters, which ${this.numExperts} experts share out among them)`,
    )
  }

  private get normalises(): boolean {
    return this.preActivation === 'batch-norm-relu'
  }

  private ruleFor(grid: PatchGrid): SparseExpertsRule {
    const reach: Size2D =
      this.border === 'halo' ? [(this.kernelSize[0] - 1) / 2, (this.kernelSize[1] - 1) / 2] : [0, 0]
    return {
      patchesPerExpert: this.patchesPerExpert,
      gate: this.gate,
      gateScale: this.gateScale,
      border: this.border,
      preActivation: this.preActivation,
      activation: activationFunction(this.convolution.activation),
      epsilon: this.epsilon,
      windows: windowTable(grid, reach),
      pixels: windowTable(grid, [0, 0], 1),
    }
  }

  private builtRule(): SparseExpertsRule {
    if (!this.rule)
      throw new Error(`${WHERE}: the layer must be built before use, got layer ${this.name} without input`)
    return this.rule
  }

  private momentsSource(training: boolean): MomentsSource | undefined {
    if (!this.normalises) return undefined
    if (training) return { onMoments: moments => this.follow(moments) }
    return {
      moving: {
        mean: this.read('moving_mean') as tf.Tensor2D,
        variance: this.read('moving_variance') as tf.Tensor2D,
      },
    }
  }

  private follow(moments: ExpertMoments): void {
    moveTowards(this.variable('moving_mean'), moments.mean, this.momentum)
    moveTowards(this.variable('moving_variance'), moments.variance, this.momentum)
  }

  private add(name: string, shape: number[], how: Partial<ParsedConvolution>, trainable: boolean): void {
    const { initializer, regularizer, constraint } = how
    const weight = this.addWeight(name, shape, 'float32', initializer, regularizer, trainable, constraint)
    this.named.set(name, weight)
  }

  private read(name: string): tf.Tensor {
    return this.variable(name).read()
  }

  private variable(name: string): tfl.LayerVariable {
    return this.named.get(name) as tfl.LayerVariable
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
