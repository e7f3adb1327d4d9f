import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { checkOptionNames, type OptionNames } from '../../known-options.js'
import { deriveSeed } from '../../random.js'
import { type Size2D, size2D } from '../../shapes.js'
import { type AuxiliaryTerm, addAuxiliaryTerm } from '../auxiliary-terms.js'
import {
  type ConvolutionOptions,
  type LayerOptions,
  layerOptionNames,
  type ParsedConvolution,
  parseConvolution,
  serializedConvolution,
} from '../standard-options.js'
import { checkMapShape, layerInput, oneOf, positiveInteger } from '../validation.js'
import { expertNamesConfig, expertNamesOf } from './expert-names.js'
import { type NetworkFactory, NetworkLayer, storedNetwork, storedNetworks } from './network-experts.js'
import { type PatchGrid, patchGrid } from './patches.js'
import {
  dependingOn,
  outputsOfAll,
  outputsOfChosen,
  readsAtOnce,
  SAMPLE_DISPATCHES,
  type SampleDispatch,
} from './sample-dispatch.js'
import type { NormalizedGroup, SampleRouteOptions } from './sample-moe.js'
import {
  balanceProxies,
  checkNoise,
  type GateNoise,
  loadBalance,
  perChoice,
  routeSamples,
  type SampleGate,
  type SampleRouting,
  type SampleRoutingSettings,
  sampleRoutingSettings,
  sampleScores,
} from './sample-routing.js'

/** Options of {@link SampleExperts}. */
export interface SampleExpertsOptions extends LayerOptions {
  /** M >= 1. */
  readonly numExperts: number
  /** Makes the network of expert k: (B,H,W,C) -> (B,D), the same D for all. */
  readonly expert: NetworkFactory
  /** h, w of the router's patches in pixels; must divide H and W. */
  readonly patchSize: number | readonly number[]
  /** What multiplies the output of a chosen expert. Default 'softmax'. */
  readonly gate?: SampleGate
  /** Whether the noise is in the gates. Default 'selection-only'; 'included' only for gate 'raw'. */
  readonly gateNoise?: GateNoise
  /** Upper end a >= 0 of the noise U[0, a] that is added to the scores in training. Default 1. */
  readonly routingNoise?: number
  /** Experts that each sample chooses, in [1, M]; their outputs are added up. Default 1. */
  readonly expertsPerSample?: number
  /** Whether the router adds a bias at each patch. Default false. */
  readonly routerBias?: boolean
  /** Default zeros. */
  readonly routerInitializer?: ConvolutionOptions['kernelInitializer']
  /** Default true. */
  readonly routerTrainable?: boolean
  /**
   * Which samples each expert computes: those that chose it, or all, of which those are selected. Default 'chosen', and
   * 'all' on backends that do not hand out values at once (WebGPU).
   */
  readonly dispatch?: SampleDispatch
  /** Names of the experts; default their numbers. */
  readonly expertNames?: readonly string[]
  /** Seed of the routing noise where no training run sets one. */
  readonly seed?: number
}

const WHERE = 'SampleExperts'

const optionNames = {
  ...layerOptionNames,
  numExperts: true,
  expert: true,
  patchSize: true,
  gate: true,
  gateNoise: true,
  routingNoise: true,
  expertsPerSample: true,
  routerBias: true,
  routerInitializer: true,
  routerTrainable: true,
  dispatch: true,
  expertNames: true,
  seed: true,
} as const satisfies OptionNames<SampleExpertsOptions>

/**
 * Sample-level mixture of experts that are whole networks (Chen et al., NeurIPS 2022, the version for images): a linear
 * router chooses for each sample the expert that computes it,
 *
 *     h_m(x) = sum over patches p of <theta_m, x^(p)>,   m(x) = argmax_m (h_m + r_m),   F(x) = gate(x) f_m(x)(x)
 *
 * r is drawn from U[0, a] in training, and 0 otherwise. Ties go to the lower number. With `expertsPerSample` k > 1 the
 * k experts of the largest scores compute the sample, and their gated outputs are added up.
 *
 * Input (B,H,W,C), output (B,D), float32. Weights, in this order: `router` (h,w,C,M), `router_bias` (M) if used, then the
 * experts' as {@link NetworkLayer} orders them; networks are named `expert_0`, `expert_1`, ..., by `expertNames`.
 *
 * With dispatch 'chosen' each expert is applied to the samples that chose it, so that the work is that of k experts a
 * sample; the layer waits for the choices. Batch normalization in an expert then sees its own samples only. An expert
 * that no sample chose has gradient 0. No gradient passes through the choice.
 */
export class SampleExperts extends NetworkLayer {
  /** @nocollapse */
  static readonly className = 'SampleExperts'

  readonly numExperts: number
  readonly patchSize: Size2D
  readonly routerBias: boolean
  readonly routerTrainable: boolean
  readonly dispatch: SampleDispatch
  readonly expertNames: readonly string[]
  /** The terms that it adds to the loss in training, where a step collects them. */
  readonly auxiliaryTerms: readonly AuxiliaryTerm[] = ['load-balance']

  private readonly routing: SampleRoutingSettings
  private readonly expert: NetworkFactory
  private readonly routerOptions: ParsedConvolution
  private readonly seed: number | undefined
  private readonly frozenAtStart: readonly number[]
  private stepSeed: number | undefined
  private draws = 0
  private builtGrid: PatchGrid | undefined
  private router: tfl.LayerVariable | undefined
  private bias: tfl.LayerVariable | undefined
  private sampleShape: readonly number[] = []

  constructor(options: SampleExpertsOptions) {
    const { frozenNetworks = [], ...own } = options as SampleExpertsOptions & { frozenNetworks?: number[] }
    checkOptionNames(WHERE, own, optionNames)
    super(own as LayerOptions as ConstructorParameters<typeof tfl.layers.Layer>[0])
    this.frozenAtStart = frozenNetworks
    this.numExperts = positiveInteger(options.numExperts, `${WHERE}: numExperts`)
    this.expert = factory(options.expert)
    this.patchSize = size2D(options.patchSize, `${WHERE}: patchSize`)
    this.routing = sampleRoutingSettings(options, this.numExperts, WHERE)
    this.routerBias = options.routerBias ?? false
    this.routerTrainable = options.routerTrainable ?? true
    this.dispatch = oneOf(SAMPLE_DISPATCHES, options.dispatch ?? 'chosen', `${WHERE}: dispatch`)
    this.expertNames = expertNamesOf(options.expertNames, this.numExperts, WHERE)
    this.seed = options.seed
    this.routerOptions = parseConvolution(
      { kernelInitializer: options.routerInitializer ?? 'zeros' },
      options.seed,
    )
  }

  override build(inputShape: tfl.Shape | tfl.Shape[]): void {
    const [height, width, channels] = checkMapShape(inputShape, WHERE)
    this.builtGrid = patchGrid([height, width], this.patchSize, WHERE)
    const { initializer } = this.routerOptions
    const { numExperts, routerTrainable, patchSize } = this
    const shape = [...patchSize, channels, numExperts]
    this.router = this.addWeight('router', shape, 'float32', initializer, undefined, routerTrainable)
    if (this.routerBias) {
      const zeros = tfl.initializers.zeros()
      this.bias = this.addWeight('router_bias', [numExperts], 'float32', zeros, undefined, routerTrainable)
    }
    this.holdExperts([height, width, channels])
    this.freezeNetworks(this.frozenAtStart)
    super.build(inputShape)
  }

  private holdExperts(inputShape: readonly number[]): void {
    let outputShape: readonly number[] | undefined
    for (const [k, name] of this.expertNames.entries()) {
      const network = this.expert(inputShape, k)
      this.hold(networkName(name), network, { inputShape, outputShape })
      const own = network.outputs[0]?.shape.slice(1).map(Number) ?? []
      if (own.length !== 1) {
        throw new RangeError(
          `${WHERE}: ${networkName(name)} must return D numbers for each sample, got (${own.join(', ')})`,
        )
      }
      outputShape = own
    }
    this.sampleShape = outputShape ?? []
  }

  override computeOutputShape(inputShape: tfl.Shape | tfl.Shape[]): tfl.Shape {
    this.checkBuilt()
    return [(inputShape as tfl.Shape)[0] ?? null, ...this.sampleShape]
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
      const routing = this.routed(x, given ?? (training ? this.drawnNoise(x.shape[0]) : undefined))
      if (training) addAuxiliaryTerm('load-balance', () => this.balanceOf(routing))
      const gated = this.mix(x, routing, training)
      if (!training) return gated
      return dependingOn(
        gated,
        this.trainableWeights.map(weight => weight.read()),
      )
    })
  }

  private mix(
    x: tf.Tensor4D,
    { indices, gates }: Pick<SampleRouting, 'indices' | 'gates'>,
    training: boolean,
  ): tf.Tensor2D {
    const outputs = this.expertOutputs(x, perChoice(indices), training) // (B,k,D)
    return tf.sum(tf.mul(outputs, tf.expandDims(perChoice(gates), 2)), 1)
  }

  private expertOutputs(x: tf.Tensor4D, chosen: tf.Tensor2D, training: boolean): tf.Tensor {
    const dispatch = this.dispatch === 'chosen' && readsAtOnce() ? outputsOfChosen : outputsOfAll
    const networks = [...this.networks.values()]
    return dispatch(x, chosen, this.numExperts, (expert, samples) => {
      return (networks[expert] as tfl.LayersModel).apply(samples, { training }) as tf.Tensor
    })
  }

  /**
   * Which experts compute these samples, and with which gates.
   *
   * @param x (B,H,W,C) float32, the layer's input; the layer must be built
   * @param noise (B,M) added to the scores; left out for the routing of inference
   * @returns the caller disposes all tensors
   */
  route(x: tf.Tensor4D, { noise }: SampleRouteOptions = {}): SampleRouting {
    return tf.tidy(() => ({ ...this.routed(x, noise) }))
  }

  /**
   * The layer's output in inference for other choices than its own: the outputs of the chosen experts times their gates,
   * summed.
   *
   * @param x (B,H,W,C) float32, the layer's input; the layer must be built
   * @param routing indices (B,k) int32 and gates (B,k) float32; or (B) each
   * @returns (B,D)
   */
  outputFor(x: tf.Tensor4D, routing: Pick<SampleRouting, 'indices' | 'gates'>): tf.Tensor2D {
    return tf.tidy(() => this.mix(x, routing, false))
  }

  /**
   * The load-balance loss, as that of `SampleMoE`.
   *
   * @param x (B,H,W,C) float32, the layer's input; the layer must be built
   * @returns a number, differentiable by the router and x
   */
  balanceLoss(x: tf.Tensor4D, { noise }: SampleRouteOptions = {}): tf.Scalar {
    return tf.tidy(() => this.balanceOf(this.routed(x, noise)))
  }

  /**
   * Sets the seed of the routing noise of the next training step; undefined gives the layer its own seeds back: from
   * its option `seed` and the number of the draw, or `Math.random` where it has none.
   */
  useStepSeed(seed: number | undefined): void {
    this.stepSeed = seed
  }

  get gate(): SampleGate {
    return this.routing.gate
  }

  get gateNoise(): GateNoise {
    return this.routing.gateNoise
  }

  /** a: noise of U[0, a) is added to the scores in training. */
  get routingNoise(): number {
    return this.routing.routingNoise
  }

  /** k, experts that each sample chooses. */
  get expertsPerSample(): number {
    return this.routing.expertsPerSample
  }

  /** The router's patches of the maps that the layer was built for. */
  get grid(): PatchGrid {
    return this.checkBuilt()
  }

  /** The weights that `normalized-gd` normalises together: those of each expert. */
  get normalizedGroups(): readonly NormalizedGroup[] {
    const trained = new Set(this.trainableWeights)
    return [...this.networks.values()].map(network => ({
      weights: network.trainableWeights.filter(weight => trained.has(weight)),
      parts: 1,
    }))
  }

  override getConfig(): tf.serialization.ConfigDict {
    this.checkBuilt()
    return {
      ...super.getConfig(),
      numExperts: this.numExperts,
      experts: [...this.networks.values()].map(storedNetwork),
      patchSize: [...this.patchSize],
      ...this.routing,
      routerBias: this.routerBias,
      routerInitializer: serializedConvolution(this.routerOptions).kernelInitializer ?? null,
      routerTrainable: this.routerTrainable,
      dispatch: this.dispatch,
      ...expertNamesConfig(this.expertNames),
      ...(this.seed !== undefined && { seed: this.seed }),
    }
  }

  /** @nocollapse */
  static override fromConfig<T extends tf.serialization.Serializable>(
    cls: tf.serialization.SerializableConstructor<T>,
    { experts, ...config }: tf.serialization.ConfigDict,
  ): T {
    const { numExperts } = config
    if (Array.isArray(experts) && experts.length !== numExperts) {
      throw new RangeError(
        `${WHERE}: experts must be ${numExperts} networks, one for each expert, got ${experts.length}`,
      )
    }
    return new cls({ ...config, expert: storedNetworks(experts, `${WHERE}: experts`) } as never)
  }

  private checkBuilt(): PatchGrid {
    if (this.builtGrid) return this.builtGrid
    throw new Error(`${WHERE}: the layer must be built before use, got layer ${this.name} without input`)
  }

  private routed(x: tf.Tensor4D, noise: tf.Tensor2D | undefined): SampleRouting {
    checkNoise(noise, [x.shape[0], this.numExperts], WHERE)
    return routeSamples(this.scores(x), this.routing, noise)
  }

  private balanceOf({ chosenBy, indices }: SampleRouting): tf.Scalar {
    return loadBalance(balanceProxies(chosenBy, this.gate), indices)
  }

  private scores(x: tf.Tensor4D): tf.Tensor2D {
    const { grid } = this
    const scores = sampleScores(x, this.router?.read() as tf.Tensor4D, grid)
    return this.bias ? tf.add(scores, tf.mul(this.bias.read(), grid.count)) : scores
  }

  private drawnNoise(batch: number): tf.Tensor2D | undefined {
    const changesNothing = this.numExperts === 1 && this.gateNoise === 'selection-only'
    if (this.routingNoise === 0 || changesNothing) return undefined
    return tf.randomUniform([batch, this.numExperts], 0, this.routingNoise, 'float32', this.nextSeed())
  }

  private nextSeed(): number | undefined {
    if (this.stepSeed !== undefined) return this.stepSeed
    return this.seed === undefined ? undefined : deriveSeed(this.seed, `routing noise ${this.draws++}`)
  }
}
tf.serialization.registerClass(SampleExperts as never)

/** Creates a {@link SampleExperts} layer. */
export function sampleExperts(options: SampleExpertsOptions): SampleExperts {
  return new SampleExperts(options)
}

function networkName(expertName: string): string {
  return `expert_${expertName}`
}

function factory(expert: unknown): NetworkFactory {
  if (typeof expert === 'function') return expert as NetworkFactory
  throw new TypeError(`${WHERE}: expert must be a function (inputShape, k) => model, got ${typeof expert}`)
}
