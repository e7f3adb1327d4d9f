import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { deriveSeed } from '../../random.js'
import { type Size2D, shapeSize } from '../../shapes.js'
import { addAuxiliaryTerm } from '../auxiliary-terms.js'
import { fixedAs } from '../fixed-inputs.js'
import {
  type ConvolutionOptions,
  fanInUniform,
  type LayerOptions,
  parseConvolution,
  type WeightOptions,
} from '../standard-options.js'
import { checkMapShape, layerInput } from '../validation.js'
import { gatherRows } from './dispatch.js'
import { expertNamesConfig } from './expert-names.js'
import type { BankActivation } from './filter-banks.js'
import { type PatchGrid, patchGrid, patchVectors } from './patches.js'
import { type SampleExpertSizes, type SampleExpertWeights, sampleMixture } from './sample-mixture.js'
import {
  type SampleMoEOptions,
  type SampleMoESettings,
  sampleMoESettings,
  WHERE,
} from './sample-moe-options.js'
import {
  balanceProxies,
  checkNoise,
  type GateNoise,
  loadBalance,
  patchSums,
  perChoice,
  routeSamples,
  type SampleGate,
  type SampleRouting,
  scoresOfSums,
} from './sample-routing.js'

/** What {@link SampleMoE.route} can be given besides the samples. */
export interface SampleRouteOptions {
  /** (B,M) float32, added to the scores; without it the routing is that of inference. */
  readonly noise?: tf.Tensor2D
}

/** Weights whose last axis is cut into equal parts, one an expert; part i of all of them is normalised together. */
export interface NormalizedGroup {
  readonly weights: readonly tfl.LayerVariable[]
  readonly parts: number
}

/** Bound of the initial weights of experts, times sqrt(h w C). */
const INITIAL_SCALE = 1e-3

/**
 * Sample-level mixture of experts (Chen, Deng, Wu, Gu, Li, NeurIPS 2022): a router scores every expert for a sample, the
 * sample goes to the expert of the largest score, and that expert alone answers. With patches x^(1), ..., x^(P) of a sample,
 * scores h, noise r of U[0, a) in training and 0 else,
 *
 *     h_m     = sum_p <theta_m, x^(p)>
 *     m*      = argmax_m (h_m + r_m), of equal ones the first
 *     f_m,o   = sum_p sum_j activation(<w_{m,o,j}, x^(p)> + b_{m,o,j})       j = 1..J
 *     output  = gate_{m*} f_{m*}
 *
 * Gates: 'softmax' is softmax(h)_{m*} over all M experts, of h + r with gateNoise 'included'; 'raw' is h_{m*} + r_{m*};
 * 'uniform' is 1. No gradient passes through the choice. With `expertsPerSample` k the sum over the k best experts of gate
 * times output, the softmax being over all M.
 *
 * Input (B,H,W,C), output (B,outputs), float32. Weights, in this order: `router` (h,w,C,M), `kernel` (h,w,C,M outputs J) and,
 * if used, `bias` (M outputs J); filter j of output o of expert m stands at (m outputs + o) J + j. With `prunedExperts`
 * kernel and bias hold the other experts only.
 *
 * A sample that holds a number that is not finite gets NaN. Experts that no sample chose get the gradient 0. Large batches
 * are sorted by expert, so that work and memory are those of the chosen experts; linear experts see sums of patches.
 */
export class SampleMoE extends tfl.layers.Layer {
  /** @nocollapse */
  static readonly className = 'SampleMoE'

  /** What it adds to the loss where a training asks for it. */
  readonly auxiliaryTerms = ['load-balance'] as const

  private readonly settings: SampleMoESettings
  private readonly initializers: Readonly<Record<WeightName, WeightOptions | undefined>>
  private readonly initializerConfigs: tf.serialization.ConfigDict
  private builtGrid: PatchGrid | undefined
  private readonly weightsByName = new Map<WeightName, tfl.LayerVariable>()
  private stepSeed: number | undefined
  private drawings = 0

  constructor(options: SampleMoEOptions) {
    const settings = sampleMoESettings(options)
    super(options as LayerOptions as ConstructorParameters<typeof tfl.layers.Layer>[0])
    // tfjs writes the class name in snake case, as sample_mo_e.
    this.name = options.name ?? this.name.replace(/^sample_mo_e_/, 'sample_moe_')
    this.settings = settings
    const router = parsedInitializer(options.routerInitializer ?? 'zeros')
    const kernel = parsedInitializer(options.kernelInitializer)
    const bias = parsedInitializer(options.biasInitializer)
    this.initializers = { router: router?.options, kernel: kernel?.options, bias: bias?.options }
    this.initializerConfigs = {
      routerInitializer: router?.config ?? null,
      kernelInitializer: kernel?.config ?? null,
      biasInitializer: bias?.config ?? null,
    }
  }

  override build(inputShape: tfl.Shape | tfl.Shape[]): void {
    const [height, width, channels] = checkMapShape(inputShape, WHERE)
    this.builtGrid = patchGrid([height, width], this.patchSize, WHERE)
    const patch = [...this.patchSize, channels]
    const filters = this.ownExperts * this.outputs * this.filtersPerOutput
    this.add('router', [...patch, this.numExperts], this.settings.routerTrainable)
    this.add('kernel', [...patch, filters], true)
    if (this.settings.useBias) this.add('bias', [filters], true, patch)
    super.build(inputShape)
  }

  override computeOutputShape(inputShape: tfl.Shape | tfl.Shape[]): tfl.Shape {
    return [(inputShape as tfl.Shape)[0] ?? null, this.outputs]
  }

  /**
   * @param kwargs `training`: whether noise is drawn; `noise`: (B,M) float32, used in its place whether training or not
   */
  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: Record<string, unknown>): tf.Tensor {
    const x = layerInput(inputs, WHERE)
    return tf.tidy(() => {
      this.invokeCallHook(inputs, kwargs)
      const training = kwargs.training === true
      const given = kwargs.noise as tf.Tensor2D | undefined
      const sums = patchSums(x, this.grid)
      const routing = this.routeSums(sums, given ?? (training ? this.drawNoise(x.shape[0]) : undefined))
      if (training) addAuxiliaryTerm('load-balance', () => this.balanceOf(routing))
      return this.mix(x, sums, routing)
    })
  }

  /**
   * Which experts samples choose, and with which gates.
   *
   * @param x (B,H,W,C) float32, the layer's input; the layer must be built
   * @returns `indices` (B) int32, `gates` (B), `scores` (B,M) and `chosenBy` (B,M) float32; with `expertsPerSample` k > 1
   *   indices and gates are (B,k), best first. The caller disposes all of them.
   */
  route(x: tf.Tensor4D, { noise }: SampleRouteOptions = {}): SampleRouting {
    return tf.tidy(() => ({ ...this.routeSums(patchSums(x, this.grid), noise) }))
  }

  /**
   * What the layer gives where samples choose as the caller says.
   *
   * @param x (B,H,W,C) float32, the layer's input; the layer must be built
   * @param routing indices and gates as {@link route} gives them
   * @returns (B,outputs). The caller disposes it.
   */
  outputFor(x: tf.Tensor4D, routing: Pick<SampleRouting, 'indices' | 'gates'>): tf.Tensor2D {
    return tf.tidy(() => this.mix(x, patchSums(x, this.grid), routing))
  }

  /**
   * The load-balance loss M^2 mean over m of density_m proxy_m: density_m the share of the choices that went to expert m,
   * proxy_m the batch mean of the softmax of the scores that chose, or with gate 'raw' of these scores themselves.
   *
   * @param x (B,H,W,C) float32, the layer's input; the layer must be built
   * @returns a number, differentiable by router and x, the densities being held
   */
  balanceLoss(x: tf.Tensor4D, { noise }: SampleRouteOptions = {}): tf.Scalar {
    return tf.tidy(() => this.balanceOf(this.routeSums(patchSums(x, this.grid), noise)))
  }

  /**
   * Sets the seed of the noise: every call in training draws the same from then on.
   *
   * @param seed undefined: from the layer's own seed, other noise in each call
   */
  useStepSeed(seed: number | undefined): void {
    this.stepSeed = seed
  }

  /** M. */
  get numExperts(): number {
    return this.settings.numExperts
  }

  /** k, experts that each sample chooses. */
  get expertsPerSample(): number {
    return this.settings.expertsPerSample
  }

  get outputs(): number {
    return this.settings.outputs
  }

  /** J, filters that are summed for each output. */
  get filtersPerOutput(): number {
    return this.settings.filtersPerOutput
  }

  /** h, w of a patch, pixels. */
  get patchSize(): Size2D {
    return this.settings.patchSize
  }

  get activation(): BankActivation {
    return this.settings.activation
  }

  get gate(): SampleGate {
    return this.settings.gate
  }

  get gateNoise(): GateNoise {
    return this.settings.gateNoise
  }

  /** a: noise of U[0, a) is added to the scores in training. */
  get routingNoise(): number {
    return this.settings.routingNoise
  }

  get useBias(): boolean {
    return this.settings.useBias
  }

  get routerTrainable(): boolean {
    return this.settings.routerTrainable
  }

  /** Names of the experts, for people. */
  get expertNames(): readonly string[] {
    return this.settings.expertNames
  }

  /** Experts without weights, which answer 0. */
  get prunedExperts(): readonly number[] {
    return this.settings.prunedExperts
  }

  /** The patches of the maps that the layer was built for. */
  get grid(): PatchGrid {
    if (this.builtGrid) return this.builtGrid
    throw new Error(`${WHERE}: the layer must be built before use, got layer ${this.name} without input`)
  }

  /** Each expert's kernel and bias as one vector, for optimizers that normalise gradients. */
  get normalizedGroups(): readonly NormalizedGroup[] {
    const weights = [...this.weightsByName].flatMap(([name, weight]) => (name === 'router' ? [] : [weight]))
    return weights.length === 0 ? [] : [{ weights, parts: this.ownExperts }]
  }

  /** Router, kernel and bias in this order, trained or not. */
  override get weights(): tfl.LayerVariable[] {
    return [...this.weightsByName.values()]
  }

  override set weights(_: tfl.LayerVariable[]) {
    throw new TypeError(`${WHERE}: weights must be set through setWeights(), got an assignment`)
  }

  override getConfig(): tf.serialization.ConfigDict {
    const { patchSize, expertNames, prunedExperts, seed, ...own } = this.settings
    return {
      ...super.getConfig(),
      ...own,
      patchSize: [...patchSize],
      ...this.initializerConfigs,
      ...expertNamesConfig(expertNames),
      ...(prunedExperts.length > 0 && { prunedExperts: [...prunedExperts] }),
      seed: seed ?? null,
    }
  }

  /** Experts that have weights. */
  private get ownExperts(): number {
    return this.numExperts - this.prunedExperts.length
  }

  private routeSums(sums: tf.Tensor2D, noise: tf.Tensor2D | undefined): SampleRouting {
    checkNoise(noise, [sums.shape[0], this.numExperts], WHERE)
    return routeSamples(scoresOfSums(sums, this.read('router') as tf.Tensor4D), this.settings, noise)
  }

  private balanceOf({ chosenBy, indices }: SampleRouting): tf.Scalar {
    return loadBalance(balanceProxies(chosenBy, this.gate), indices)
  }

  private mix(
    x: tf.Tensor4D,
    sums: tf.Tensor2D,
    routing: Pick<SampleRouting, 'indices' | 'gates'>,
  ): tf.Tensor2D {
    const { grid, ownExperts: experts, outputs, filtersPerOutput, activation, prunedExperts } = this
    const sizes = { experts, outputs, filtersPerOutput, activation, patches: grid.count }
    const kernel: tf.Tensor2D = tf.reshape(this.read('kernel'), [sums.shape[1], -1])
    const weights = { kernel, bias: this.settings.useBias ? (this.read('bias') as tf.Tensor1D) : undefined }
    const bank = activation === 'linear' ? sumOfFilters(weights, sizes) : { weights, sizes }
    const vectors =
      activation === 'linear' ? fixedAs(sums, tf.expandDims(sums, 1)) : fixedAs(x, patchVectors(x, grid))
    const choices = { chosen: perChoice(routing.indices), gates: perChoice(routing.gates) }
    if (prunedExperts.length === 0)
      return sampleMixture(vectors as tf.Tensor3D, choices, bank.weights, bank.sizes)
    const completed = withSilentExpert(bank.weights, bank.sizes)
    const chosen = this.weightsOfChosen(choices.chosen)
    return sampleMixture(vectors as tf.Tensor3D, { ...choices, chosen }, completed.weights, completed.sizes)
  }

  /** (B,k) int32: numbers among the experts with weights, after which the silent one stands for all pruned ones. */
  private weightsOfChosen(chosen: tf.Tensor2D): tf.Tensor2D {
    const own = [...this.expertNames.keys()].filter(expert => !this.prunedExperts.includes(expert))
    const numbers = this.expertNames.map((_, expert) =>
      own.includes(expert) ? own.indexOf(expert) : own.length,
    )
    const table = tf.tensor2d(numbers, [this.numExperts, 1], 'int32')
    return tf.reshape(gatherRows(table, chosen), chosen.shape)
  }

  private drawNoise(batch: number): tf.Tensor2D | undefined {
    const { routingNoise, numExperts, gateNoise, seed } = this.settings
    const changesNothing = numExperts === 1 && gateNoise === 'selection-only'
    if (routingNoise === 0 || changesNothing) return undefined
    const own = seed === undefined ? undefined : deriveSeed(seed, `noise ${this.drawings++}`)
    return tf.randomUniform([batch, numExperts], 0, routingNoise, 'float32', this.stepSeed ?? own)
  }

  private add(name: WeightName, shape: number[], trainable: boolean, patch = shape.slice(0, 3)): void {
    const fanIn = shapeSize(patch)
    const { seed } = this.settings
    const initializer =
      this.initializers[name]?.initializer ??
      fanInUniform(INITIAL_SCALE, fanIn, seed === undefined ? undefined : deriveSeed(seed, name))
    const weight = this.addWeight(name, shape, 'float32', initializer, undefined, trainable)
    this.weightsByName.set(name, weight)
  }

  private read(name: WeightName): tf.Tensor {
    return (this.weightsByName.get(name) as tfl.LayerVariable).read()
  }
}
tf.serialization.registerClass(SampleMoE)

/** Creates a {@link SampleMoE} layer. */
export function sampleMoE(options: SampleMoEOptions): SampleMoE {
  return new SampleMoE(options)
}

type WeightName = 'router' | 'kernel' | 'bias'

interface Bank {
  readonly weights: SampleExpertWeights
  readonly sizes: SampleExpertSizes
}

/** @returns undefined where the option is left out */
function parsedInitializer(initializer: ConvolutionOptions['kernelInitializer'] | null) {
  if (initializer === undefined || initializer === null) return undefined
  const parsed = parseConvolution({ kernelInitializer: initializer }, undefined)
  return { options: parsed as WeightOptions, config: parsed.config.kernelInitializer ?? null }
}

/**
 * Linear filters, summed over the filters of an output and over patches: one filter of sums of patches, with the bias once
 * for each patch.
 */
function sumOfFilters({ kernel, bias }: SampleExpertWeights, sizes: SampleExpertSizes): Bank {
  const { experts, outputs, filtersPerOutput, patches } = sizes
  const [width] = kernel.shape
  const summed = (weights: tf.Tensor, rows: number) =>
    tf.sum(tf.reshape(weights, [rows, experts * outputs, filtersPerOutput]), 2)
  return {
    weights: {
      kernel: summed(kernel, width) as tf.Tensor2D,
      bias: bias && (tf.reshape(tf.mul(summed(bias, 1), patches), [-1]) as tf.Tensor1D),
    },
    sizes: { ...sizes, patches: 1, filtersPerOutput: 1 },
  }
}

/** One expert more, whose filters are 0: all activations give 0 for 0. */
function withSilentExpert({ kernel, bias }: SampleExpertWeights, sizes: SampleExpertSizes): Bank {
  const filters = sizes.outputs * sizes.filtersPerOutput
  return {
    weights: {
      kernel: tf.concat([kernel, tf.zeros([kernel.shape[0], filters])], 1) as tf.Tensor2D,
      bias: bias && (tf.concat([bias, tf.zeros([filters])]) as tf.Tensor1D),
    },
    sizes: { ...sizes, experts: sizes.experts + 1 },
  }
}
