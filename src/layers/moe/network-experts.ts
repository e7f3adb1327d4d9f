import type * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { frugalForward } from '../frugal-forward.js'
import { isNetworkHolder, layersWithin, type NetworkHolder, placedLayers } from '../layer-paths.js'
import { checkOneTensorFlow } from '../validation.js'

/**
 * Makes a network that a layer holds.
 *
 * @param inputShape of one sample, without the batch
 * @param k number of the network, from 0
 * @returns a new model for each k, with one input and one output; the layer that holds it owns it from then on
 */
export type NetworkFactory = (inputShape: readonly number[], k: number) => tfl.LayersModel

/** A network in the configuration of the layer that holds it. */
export interface StoredNetwork extends tf.serialization.ConfigDict {
  readonly className: string
  readonly config: tf.serialization.ConfigDict
}

/** What a layer expects of a network that it is to hold. */
export interface NetworkRequirements {
  /** Of one sample, without the batch. */
  readonly inputShape: readonly number[]
  /** Of one sample; any unless given. */
  readonly outputShape?: readonly number[] | undefined
}

/**
 * A layer that applies whole networks, such as the experts of a mixture.
 *
 * tfjs knows nothing of models inside a layer; here their weights are the layer's own. Weights in order, whatever is
 * trained: those that the layer adds itself, then network by network and layer by layer, in the order in which
 * `model.layers` lists them, each layer's as it made them. Names of weights are `layer/network/inner layer/kernel`, so
 * that networks made by the same code do not clash; the layer renames the weights of the networks that it takes over.
 *
 * `trainable` of the layer, of each network and of each layer in it can be set apart: a weight is trained where all of
 * them are. The configuration holds the networks' configurations, and which networks are frozen. Penalties of
 * regularizers count once a step, whether or not a network was applied in it.
 */
export abstract class NetworkLayer extends tfl.layers.Layer implements NetworkHolder {
  private readonly held = new Map<string, tfl.LayersModel>()
  private readonly heldWeights: tfl.LayerVariable[] = []
  private readonly forwards = new Map<string, ReturnType<typeof frugalForward>>()

  /** The networks by name, in their order; none before the layer is built. */
  get networks(): ReadonlyMap<string, tfl.LayersModel> {
    return this.held
  }

  /**
   * Takes a network over: from now on its weights are weights of this layer.
   *
   * @param name that weights and paths begin with, after the layer's; one segment, `expert_0`
   * @throws TypeError, RangeError, Error when it does not meet the requirements, or shares weights with another network
   */
  protected hold(name: string, network: tfl.LayersModel, requirements: NetworkRequirements): void {
    const where = `${this.getClassName()}: ${name}`
    checkNetwork(network, requirements, where)
    const weights = renamedWeights(network, `${this.name}/${name}`, weight => this.checkUnheld(weight, where))
    this.held.set(name, network)
    this.heldWeights.push(...weights)
  }

  /** The output of a network, whose maps are freed as soon as nothing reads them any more; the caller disposes it. */
  protected applied(name: string, x: tf.Tensor, training: boolean): tf.Tensor {
    const forward = this.forwards.get(name) ?? frugalForward(this.held.get(name) as tfl.LayersModel)
    this.forwards.set(name, forward)
    return forward(x, training)
  }

  private checkUnheld(weight: tfl.LayerVariable, where: string): void {
    if (!this.heldWeights.includes(weight)) return
    throw new RangeError(
      `${where} must be a network of its own, got one that shares the weight ${weight.originalName} with another ` +
        '(make new layers in each call of the factory)',
    )
  }

  /** The weights that the layer added itself; tfjs keeps them in fields that its declarations call private. */
  private get ownWeights(): readonly tfl.LayerVariable[] {
    const { _trainableWeights, _nonTrainableWeights } = this as unknown as Record<string, tfl.LayerVariable[]>
    return [...(_trainableWeights ?? []), ...(_nonTrainableWeights ?? [])]
  }

  /** All weights in the documented order, trained or not. */
  override get weights(): tfl.LayerVariable[] {
    return [...this.ownWeights, ...this.heldWeights]
  }

  override set weights(_: tfl.LayerVariable[]) {
    throw new TypeError(`${this.getClassName()}: weights must be set through setWeights(), got an assignment`)
  }

  override get trainableWeights(): tfl.LayerVariable[] {
    if (!this.trainable) return []
    const ofNetworks = new Set([...this.held.values()].flatMap(network => network.trainableWeights))
    return [
      ...this.ownWeights.filter(weight => weight.trainable),
      ...this.heldWeights.filter(weight => weight.trainable && ofNetworks.has(weight)),
    ]
  }

  override set trainableWeights(_: tfl.LayerVariable[]) {
    throw new TypeError(
      `${this.getClassName()}: trainableWeights must follow from trainable, got an assignment`,
    )
  }

  override get nonTrainableWeights(): tfl.LayerVariable[] {
    const trained = new Set(this.trainableWeights)
    return this.weights.filter(weight => !trained.has(weight))
  }

  override set nonTrainableWeights(_: tfl.LayerVariable[]) {
    throw new TypeError(
      `${this.getClassName()}: nonTrainableWeights must follow from trainable, got an assignment`,
    )
  }

  override calculateLosses(): tf.Scalar[] {
    return [
      ...super.calculateLosses(),
      // Not of the networks as a whole: a Sequential of tfjs counts none before its first call.
      ...layersOf(this.held.values()).flatMap(layer => layer.calculateLosses()),
    ]
  }

  override getConfig(): tf.serialization.ConfigDict {
    const networks = [...this.held.values()]
    const frozen = networks.flatMap(({ trainable }, k) => (trainable ? [] : [k]))
    return { ...super.getConfig(), ...(frozen.length > 0 && { frozenNetworks: frozen }) }
  }

  /** Freezes the networks that a configuration says are frozen, by their numbers. */
  protected freezeNetworks(numbers: readonly number[]): void {
    for (const [k, network] of [...this.held.values()].entries())
      if (numbers.includes(k)) network.trainable = false
  }
}

function layersOf(networks: Iterable<tfl.LayersModel>): readonly tfl.layers.Layer[] {
  return [...networks].flatMap(layersWithin)
}

/** Classes of layers that compute the same in training and in inference. */
const SAME_IN_TRAINING: ReadonlySet<string> = new Set([
  ...['InputLayer', 'Activation', 'ReLU', 'LeakyReLU', 'ELU', 'Rescaling'],
  ...['Conv2D', 'DepthwiseConv2D', 'SeparableConv2D', 'Dense', 'ZeroPadding2D', 'UpSampling2D'],
  ...['AveragePooling2D', 'MaxPooling2D', 'GlobalAveragePooling2D', 'GlobalMaxPooling2D'],
  ...['Add', 'Multiply', 'Concatenate', 'Flatten', 'Reshape', 'Permute'],
])

/** Whether a network computes the same in training and in inference, as one with batch normalization does not. */
export function isSameInTraining(network: tfl.LayersModel): boolean {
  return layersWithin(network).every(layer => SAME_IN_TRAINING.has(layer.getClassName()))
}

/** A network as it stands in a configuration. */
export function storedNetwork(network: tfl.LayersModel): StoredNetwork {
  return { className: network.getClassName(), config: network.getConfig() }
}

/**
 * Builds the networks of a configuration.
 *
 * @param where the class and the option, for errors
 * @returns a factory that hands out each of them once
 * @throws TypeError when the value is not a list of models
 */
export function storedNetworks(value: unknown, where: string): NetworkFactory {
  if (!Array.isArray(value)) throw new TypeError(`${where} must be a list of networks, got ${typeof value}`)
  const networks = value.map(stored => builtNetwork(stored as Partial<StoredNetwork>, where))
  return (_, k) => networks[k] as tfl.LayersModel
}

interface ModelClass {
  fromConfig(cls: unknown, config: tf.serialization.ConfigDict): tfl.LayersModel
}

function builtNetwork(stored: Partial<StoredNetwork> | null, where: string): tfl.LayersModel {
  const { className, config } = stored ?? {}
  const entry = className === undefined ? undefined : modelClass(className)
  if (!entry || !config) {
    throw new TypeError(
      `${where} must be networks of the class Sequential or Functional, got ${JSON.stringify(className)}`,
    )
  }
  return entry.fromConfig(entry, config)
}

function modelClass(className: string): ModelClass | undefined {
  if (className === 'Sequential') return tfl.Sequential as unknown as ModelClass
  const isModel = className === 'Functional' || className === 'Model'
  return isModel ? (tfl.LayersModel as unknown as ModelClass) : undefined
}

function checkNetwork(
  network: tfl.LayersModel,
  { inputShape, outputShape }: NetworkRequirements,
  where: string,
): void {
  checkOneTensorFlow(network?.outputs?.[0], where)
  if (!(network instanceof tfl.LayersModel)) {
    throw new TypeError(`${where} must be a model of tfjs-layers, got ${typeof network}`)
  }
  const [input, ...otherInputs] = network.inputs ?? []
  const [output, ...otherOutputs] = network.outputs ?? []
  if (!input || !output || otherInputs.length > 0 || otherOutputs.length > 0) {
    throw new RangeError(
      `${where} must have 1 input and 1 output, got ${network.inputs?.length ?? 0} and ${network.outputs?.length ?? 0}`,
    )
  }
  if (!takes(input.shape, inputShape)) {
    throw new RangeError(
      `${where} must take any number of samples of shape ${shapeText(inputShape)}, ` +
        `got a network for ${shapeText(input.shape)}`,
    )
  }
  const [batch, ...own] = output.shape
  const isFixed = batch === null && own.length > 0 && own.every(side => side !== null && side > 0)
  if (!isFixed) {
    throw new RangeError(
      `${where} must return one output of fixed shape for each sample, got ${shapeText(output.shape)}`,
    )
  }
  if (outputShape && own.join() !== outputShape.join()) {
    throw new RangeError(
      `${where} must return the shape ${shapeText(outputShape)} of the first, got ${shapeText(own)}`,
    )
  }
}

/** Whether a network for `shape`, with the batch, can be given samples of another shape. */
function takes(shape: tfl.Shape, sample: readonly number[]): boolean {
  const [batch, ...sides] = shape
  if (batch !== null || sides.length !== sample.length) return false
  return sides.every((side, axis) => side === null || side === sample[axis])
}

function shapeText(shape: readonly (number | null)[]): string {
  return `(${shape.map(side => side ?? 'null').join(', ')})`
}

/** The weights of a network, each once, in an order that does not depend on what is trained, and renamed. */
function renamedWeights(
  network: tfl.LayersModel,
  prefix: string,
  check: (weight: tfl.LayerVariable) => void,
): readonly tfl.LayerVariable[] {
  const names = new Map<tfl.LayerVariable, string>()
  for (const { layer, path } of placedLayers(network)) {
    for (const weight of weightsInOrder(layer)) {
      if (!names.has(weight)) names.set(weight, `${prefix}/${path}/${nameWithin(layer, weight)}`)
    }
  }
  for (const weight of names.keys()) check(weight)
  for (const [weight, name] of names) (weight as { originalName: string }).originalName = name
  return [...names.keys()]
}

/** tfjs lists the trained weights first; ids count in the order in which weights were made. */
function weightsInOrder(layer: tfl.layers.Layer): readonly tfl.LayerVariable[] {
  if (isNetworkHolder(layer)) return layer.weights
  return [...layer.weights].sort((a, b) => a.id - b.id)
}

/** A weight's name after that of its layer: `kernel`, or `forward_lstm/kernel` in a wrapper. */
function nameWithin(layer: tfl.layers.Layer, { originalName }: tfl.LayerVariable): string {
  const start = `/${originalName}`.lastIndexOf(`/${layer.name}/`)
  if (start >= 0) return originalName.slice(start + layer.name.length + 1)
  return originalName.slice(originalName.lastIndexOf('/') + 1)
}
