import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { deriveSeed } from '../../random.js'
import type { ImageShape, Size2D } from '../../shapes.js'
import type { AuxiliaryTerm } from '../auxiliary-terms.js'
import { fixInput } from '../fixed-inputs.js'
import { withoutGradient } from '../hand-gradient.js'
import type { LayerOptions } from '../standard-options.js'
import { checkOneTensorFlow } from '../validation.js'
import { cellRouter } from './cell-router.js'
import { CellScores } from './cell-scores/cell-scores.js'
import { type CellGrid, cellGrid, patchBoxes, viewCell, viewOf, wholeView } from './cells.js'
import { gatherRows } from './dispatch.js'
import { isSameInTraining, NetworkLayer, storedNetwork, storedNetworks } from './network-experts.js'
import { attentionHead, gatesOf, weighedSum } from './patch-experts-gates.js'
import { checkCut, givenPatches, imagePatches, inputSizes } from './patch-experts-inputs.js'
import {
  type PatchExpertsOptions,
  type PatchExpertsSettings,
  patchExpertsSettings,
  priorFunction,
  WHERE,
} from './patch-experts-options.js'
import { type Routing, topPatches } from './routing.js'
import { addRoutingTerms, routingTerms } from './routing-terms.js'
import { dependingOn } from './sample-dispatch.js'

/** Which patches experts keep of images, best first. */
export interface PatchRoute extends Routing {
  /** (B,K,L,4) int32: top, left, height and width of the kept patches in pixels; they may reach past the image. */
  readonly boxes: tf.Tensor4D
}

/** Parts of the configuration that no caller gives. */
interface StoredParts {
  readonly frozenNetworks?: readonly number[]
  readonly attention?: unknown
  readonly trainingProgress?: number
}

/**
 * Mixture of experts that are whole networks, each of which sees only the patches that it keeps of a large image. A router scores
 * the N cells of a small view of the image; each expert keeps the patches around its L best cells and is applied to each of them,
 *
 *     g_k = router(view)_k + b z(prior(view)),   J_k = the L cells of the largest scores,
 *     y_k = sum over j in J_k of G_{j,k} f_k(x^(j)),   for gate 'product' G_{.,k} = softmax over J_k of (g_{j,k} + a(f_k(x^(j))))
 *
 * with a the attention head, a network of D -> 16 (tanh) -> 1 that all experts share. Ties go to the lower cell.
 *
 * The input has three forms, float32 in [0, 1] but for the indices:
 * - an image (B,H,W,C), of which the view is made by averaging
 * - a view (B,h,w,C), h = ceil(H / viewScale), and the image
 * - a view, patches (B,K,L,p,q,C) and indices (B,K,L) int32: what was cut elsewhere, so that no tensor of the image exists
 *
 * Output (B, K D), or (B, D) with aggregate 'sum'. Weights, as {@link NetworkLayer} orders them: `router`, then `expert_0`,
 * `expert_1`, ... or the one `expert` of all, then `attention` for gate 'product'.
 *
 * The router has a gradient through the gates of kept patches, for 'softmax-all' of all; none passes through the choice, nor to the
 * inputs. Batch normalization in an expert sees kept patches only.
 */
export class PatchExperts extends NetworkLayer {
  /** @nocollapse */
  static readonly className = 'PatchExperts'

  private readonly settings: PatchExpertsSettings
  private readonly stored: StoredParts
  private builtGrid: CellGrid | undefined
  private builtScores: CellScores | undefined
  private channels = 0
  private outputs = 0
  private progress: number

  constructor(options: PatchExpertsOptions) {
    const { frozenNetworks, attention, trainingProgress, ...own } = options as PatchExpertsOptions &
      StoredParts
    const settings = patchExpertsSettings(own)
    super(own as LayerOptions as ConstructorParameters<typeof tfl.layers.Layer>[0])
    this.settings = settings
    this.stored = { ...(frozenNetworks && { frozenNetworks }), attention }
    this.progress = trainingProgress ?? 1
  }

  /** K. */
  get numExperts(): number {
    return this.settings.numExperts
  }

  /** The terms that the layer adds to the loss, where a training asks for them. */
  get auxiliaryTerms(): readonly AuxiliaryTerm[] {
    return routingTerms(this.numExperts)
  }

  /** L. */
  get patchesPerExpert(): number {
    return this.settings.patchesPerExpert
  }

  /** Everything that the options say, with defaults. */
  get options(): PatchExpertsSettings {
    return this.settings
  }

  /** The cells of the images that the layer was built for. */
  get grid(): CellGrid {
    if (this.builtGrid) return this.builtGrid
    throw new Error(`${WHERE}: the layer must be built before use, got layer ${this.name} without input`)
  }

  private get cellScores(): CellScores {
    const { grid, settings } = this
    this.builtScores ??= new CellScores({
      grid,
      numExperts: settings.numExperts,
      router: (view, training) => this.applied('router', view, training),
      isSameInTraining: isSameInTraining(this.networks.get('router') as tfl.LayersModel),
      prior: () => (this.usesPrior ? priorFunction(settings.prior) : undefined),
      priorWeight: settings.priorWeight,
      where: WHERE,
    })
    return this.builtScores
  }

  /** Height, width and channels of a patch. */
  get patchShape(): ImageShape {
    return [...this.grid.patch, this.channels]
  }

  /**
   * Checks that the layer can cut images of a size, before it is built.
   *
   * @throws RangeError when they are smaller than a patch, or have fewer cells than an expert keeps patches
   */
  checkImage(image: Size2D): CellGrid {
    const { patchesPerExpert } = this.settings
    const grid = cellGrid(image, this.settings, WHERE)
    if (patchesPerExpert <= grid.count) return grid
    throw new RangeError(
      `${WHERE}: patchesPerExpert must be an integer in [1, ${grid.count}], got ${patchesPerExpert} ` +
        `(${grid.count} cells: ${grid.cells[0]}x${grid.cells[1]} of ${grid.cell[0]}x${grid.cell[1]} pixels)`,
    )
  }

  override build(inputShape: tfl.Shape | tfl.Shape[]): void {
    const { image, channels } = inputSizes(inputShape, this.settings)
    const { numExperts, shareExpert, expert, gate } = this.settings
    const grid = this.checkImage(image)
    this.builtGrid = grid
    this.channels = channels
    checkCut(inputShape, this)
    this.holdRouter(grid)
    let outputShape: readonly number[] | undefined
    for (let k = 0; k < (shareExpert ? 1 : numExperts); k++) {
      outputShape = this.holdExpert(
        shareExpert ? 'expert' : `expert_${k}`,
        expert(this.patchShape, k),
        outputShape,
      )
    }
    this.outputs = outputShape?.[0] ?? 0
    if (gate === 'product') this.hold('attention', this.attentionHead(), { inputShape: [this.outputs] })
    this.freezeNetworks(this.stored.frozenNetworks ?? [])
    super.build(inputShape)
  }

  private holdRouter(grid: CellGrid): void {
    const { router, numExperts, seed } = this.settings
    const viewShape = [...wholeView(grid), this.channels]
    const network = router
      ? router(viewShape, numExperts)
      : cellRouter(
          viewShape,
          viewCell(grid),
          numExperts,
          seed === undefined ? undefined : deriveSeed(seed, 'router'),
        )
    this.hold('router', network, { inputShape: viewShape })
    const expected = [...grid.cells, numExperts].join(', ')
    const own = (network.outputs[0]?.shape ?? []).slice(1).join(', ')
    if (own === expected) return
    throw new RangeError(
      `${WHERE}: router must return a score for each cell and expert, of shape (${expected}), got (${own})`,
    )
  }

  private holdExpert(
    name: string,
    network: tfl.LayersModel,
    outputShape: readonly number[] | undefined,
  ): readonly number[] {
    this.hold(name, network, { inputShape: this.patchShape, outputShape })
    const own = network.outputs[0]?.shape.slice(1).map(Number) ?? []
    if (own.length === 1) return own
    throw new RangeError(`${WHERE}: ${name} must return D numbers for each patch, got (${own.join(', ')})`)
  }

  private attentionHead(): tfl.LayersModel {
    if (this.stored.attention) return storedNetworks([this.stored.attention], `${WHERE}: attention`)([], 0)
    return attentionHead(this.outputs, this.settings.seed)
  }

  override computeOutputShape(inputShape: tfl.Shape | tfl.Shape[]): tfl.Shape {
    const { grid: _, settings, outputs } = this
    const first = (Array.isArray(inputShape[0]) ? inputShape[0] : inputShape) as tfl.Shape
    return [first[0] ?? null, settings.aggregate === 'sum' ? outputs : settings.numExperts * outputs]
  }

  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: Record<string, unknown>): tf.Tensor {
    const tensors = Array.isArray(inputs) ? inputs : [inputs]
    for (const tensor of tensors) checkOneTensorFlow(tensor, WHERE)
    return tf.tidy(() => {
      this.invokeCallHook(inputs, kwargs)
      const training = kwargs.training === true
      const { view, patches, indices: given } = this.parts(tensors)
      const scores = this.scores(view, training)
      const indices = given ?? withoutGradient(() => topPatches(scores, this.patchesPerExpert).indices)
      if (training) addRoutingTerms(this, () => scores, indices)
      const features = this.features(patches(indices), training)
      const gates = gatesOf(this.settings, scores, indices, this.attentionOn(features, training))
      return this.summed(gates, features, training)
    })
  }

  /** The view, and how its patches are had: cut out of the image, or given with their indices. */
  private parts(tensors: readonly tf.Tensor[]) {
    const [first, second, third] = tensors as readonly tf.Tensor[]
    if (third) {
      const patches = second as tf.Tensor
      const indices = third.dtype === 'int32' ? third : tf.cast(third, 'int32')
      return {
        view: first as tf.Tensor4D,
        indices: indices as tf.Tensor3D,
        patches: () => (expert?: number) => givenPatches(patches, this, expert),
      }
    }
    const image = (second ?? first) as tf.Tensor4D
    return {
      view: second ? (first as tf.Tensor4D) : withoutGradient(() => this.viewOf(image)),
      indices: undefined,
      patches: (indices: tf.Tensor3D) => (expert?: number) => imagePatches(image, indices, this.grid, expert),
    }
  }

  /**
   * (B,K,N) scores of all cells, prior included; all NaN for an expert and image where one is not finite, or a number of the view.
   *
   * @param view (B,h,w,C) float32; the layer must be built
   */
  scores(view: tf.Tensor4D, training: boolean): tf.Tensor3D {
    return this.cellScores.of(view, training)
  }

  /** (B,K,L,D) the experts' outputs on their kept patches. */
  private features(patchesOf: (expert?: number) => tf.Tensor4D, training: boolean): tf.Tensor4D {
    const { numExperts, patchesPerExpert, outputs } = this
    const shape: [number, number, number, number] = [-1, numExperts, patchesPerExpert, outputs]
    const apply = (name: string, patches: tf.Tensor4D) => this.applied(name, fixInput(patches), training)
    if (this.settings.shareExpert) return tf.reshape(apply('expert', patchesOf()), shape)
    const own = Array.from({ length: numExperts }, (_, k) =>
      tf.reshape(apply(`expert_${k}`, patchesOf(k)), [-1, patchesPerExpert, outputs]),
    )
    return tf.reshape(own.length === 1 ? (own[0] as tf.Tensor) : tf.stack(own, 1), shape)
  }

  /** (B,K,L) the experts' own attention logits, for gate 'product'. */
  private attentionOn(features: tf.Tensor4D, training: boolean): tf.Tensor3D | undefined {
    if (!this.networks.has('attention')) return undefined
    const rows = tf.reshape(features, [-1, this.outputs])
    const logits = this.applied('attention', rows, training)
    return tf.reshape(logits, [-1, this.numExperts, this.patchesPerExpert])
  }

  private summed(gates: tf.Tensor3D, features: tf.Tensor4D, training: boolean): tf.Tensor {
    const result = weighedSum(this.settings, gates, features)
    const isWhole = !training || this.settings.gate !== 'uniform'
    return isWhole
      ? result
      : dependingOn(
          result,
          this.trainableWeights.map(weight => weight.read()),
        )
  }

  /**
   * The view of images, as the layer makes it where it is given none.
   *
   * @param image (B,H,W,C) float32
   * @returns (B, ceil(H / viewScale), ceil(W / viewScale), C)
   */
  viewOf(image: tf.Tensor4D): tf.Tensor4D {
    return tf.tidy(() => tf.clone(viewOf(image, this.settings.viewScale)))
  }

  /**
   * The cells that the experts keep, in inference, copied to memory. What was computed of the view need not be computed again when the
   * layer is called with the same tensor: the prior, and in the step of training that is announced the router's forward pass.
   *
   * @param view (B,h,w,C) float32; the layer must be built
   * @param isForStep whether such a step comes next, with the same weights
   * @returns (B,K,L)
   */
  choose(view: tf.Tensor4D, isForStep = false): Promise<Int32Array> {
    return this.cellScores.choose(view, this.patchesPerExpert, isForStep)
  }

  /**
   * Which patches the experts keep, and with which gates, in inference.
   *
   * @param view (B,h,w,C) float32; the layer must be built
   * @param patchesOf hands out the kept patches (B,K,L,p,q,C) where gates depend on them, as for 'product'; without it those gates
   *   are the softmax over the router's scores alone
   * @returns the caller disposes all tensors
   */
  route(view: tf.Tensor4D, patchesOf?: (indices: tf.Tensor3D) => tf.Tensor): PatchRoute {
    return tf.tidy(() => {
      const scores = this.scores(view, false)
      const { indices } = topPatches(scores, this.patchesPerExpert)
      const patches = this.settings.gate === 'product' ? patchesOf?.(indices) : undefined
      const features = patches && this.features(k => givenPatches(patches, this, k), false)
      const gates = gatesOf(this.settings, scores, indices, features && this.attentionOn(features, false))
      const boxes = tf.tensor2d(patchBoxes(this.grid), [this.grid.count, 4], 'int32')
      return { indices, gates, boxes: gatherRows(boxes, indices) as tf.Tensor4D }
    })
  }

  /** Whether a prior is added to the scores now: there is one, and it has not ended. */
  get usesPrior(): boolean {
    const { prior, priorWeight, priorUntil } = this.settings
    if (prior === 'none' || priorWeight === 0) return false
    return priorUntil === 1 || this.progress < priorUntil
  }

  /** Whether its prior ends before the training does. */
  get dependsOnProgress(): boolean {
    const { prior, priorUntil } = this.settings
    return priorUntil < 1 && prior !== 'none'
  }

  /**
   * Tells the layer which share of its training is done, in [0, 1]: from `priorUntil` on there is no prior. It is 1 until it is set,
   * and saved with the layer.
   */
  useProgress(share: number): void {
    this.progress = share
  }

  override dispose(): ReturnType<tfl.layers.Layer['dispose']> {
    this.builtScores?.dispose()
    return super.dispose()
  }

  override getConfig(): tf.serialization.ConfigDict {
    const { grid: _, networks, settings } = this
    const { cell, expert: __, router: ___, prior, seed, ...rest } = settings
    if (typeof prior === 'function') {
      throw new Error(
        `${WHERE}: prior must have a name to be saved, got a function (registerPrior gives it one)`,
      )
    }
    const stored = [...networks].map(([name, network]) => [name, storedNetwork(network)] as const)
    const attention = stored.find(([name]) => name === 'attention')?.[1]
    return {
      ...super.getConfig(),
      ...rest,
      cellSize: [...cell],
      prior,
      router: stored[0]?.[1] ?? null,
      experts: stored.slice(1).flatMap(([name, network]) => (name === 'attention' ? [] : [network])),
      ...(attention && { attention }),
      ...(this.progress < settings.priorUntil &&
        settings.priorUntil < 1 && { trainingProgress: this.progress }),
      ...(seed !== undefined && { seed }),
    }
  }

  /** @nocollapse */
  static override fromConfig<T extends tf.serialization.Serializable>(
    cls: tf.serialization.SerializableConstructor<T>,
    { experts, router, ...config }: tf.serialization.ConfigDict,
  ): T {
    const expected = config.shareExpert === true ? 1 : config.numExperts
    if (Array.isArray(experts) && experts.length !== expected) {
      throw new RangeError(`${WHERE}: experts must be ${expected} networks, got ${experts.length}`)
    }
    return new cls({
      ...config,
      expert: storedNetworks(experts, `${WHERE}: experts`),
      router: (shape: readonly number[]) => storedNetworks([router], `${WHERE}: router`)(shape, 0),
    } as never)
  }
}
tf.serialization.registerClass(PatchExperts as never)

/** Creates a {@link PatchExperts} layer. */
export function patchExperts(options: PatchExpertsOptions): PatchExperts {
  return new PatchExperts(options)
}
