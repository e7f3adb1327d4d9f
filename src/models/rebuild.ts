import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { BatchNormalization, untrainableOption } from '../layers/batch-norm.js'
import { allPlacedLayers, isNestedModel, isNetworkHolder, placedLayers } from '../layers/layer-paths.js'
import { checkOneTensorFlow } from '../layers/validation.js'
import { disposeModel } from './dispose-model.js'

/** A layer as tfjs serializes it. */
export interface SerializedLayer {
  readonly className: string
  readonly config: tf.serialization.ConfigDict
}

/** Gives the class and configuration of the new layer for those of the old one. */
export type LayerChange = (layer: SerializedLayer) => SerializedLayer

/** What rebuilding may do besides changing layers. */
export interface RebuildOptions {
  /** Whether the new model is compiled where the old one was. Default true. */
  readonly compile?: boolean
  /** Classes to use instead of the model's own of the same class name; they must take the same configuration. */
  readonly classes?: readonly tf.serialization.SerializableConstructor<tf.serialization.Serializable>[]
  /** Paths of layers that the new model does not have: layers that read them are called with their other inputs. */
  readonly leftOut?: readonly string[]
  /** Paths of layers of one input left that the new model does not have: what reads them reads that input. */
  readonly bypassed?: readonly string[]
  /** A layer to be put between the one input of the model and what reads it; its name must be a new one. */
  readonly behindInput?: SerializedLayer
}

/**
 * Builds a model anew from its configuration, with some layers changed, and copies its weights.
 *
 * The new model shares nothing with the old one: names, connections, shared layers, weight values and trainable flags
 * are those of the old model. Layers keep their classes, registered or not; only a BatchNormalization that tfjs cannot
 * train becomes the one of this library. A changed layer takes over the weights of the same name and shape; its other
 * weights start as its initializers say. If the model was compiled, the new one is compiled with the same loss and metrics
 * and a new optimizer with the same settings.
 *
 * @param changes by the path of the layer, `backbone/conv1`
 * @param where the caller, for errors
 * @returns the new model; the caller disposes it
 * @throws RangeError when a path is not in the model, or one layer belongs to two models: rebuilt, it would become two
 * @throws Error with its cause when tfjs cannot build the changed configuration
 */
export function rebuildModel(
  model: tfl.LayersModel,
  changes: ReadonlyMap<string, LayerChange>,
  where: string,
  { classes = [], compile = true, leftOut = [], bypassed = [], behindInput }: RebuildOptions = {},
): tfl.LayersModel {
  checkOneTensorFlow(model.outputs?.[0], where)
  checkPaths(model, changes, where)
  checkSharing(model, where)
  const gone = { leftOut: new Set(leftOut), bypassed: new Set(bypassed) }
  const serialized = changedLayers(model, structuredClone(model.getConfig()), '', changes, gone)
  if (behindInput) putBehindInput(model, serialized, behindInput)
  const rebuilt = withClasses(model, [...trainableNorms(model), ...classes], () =>
    built(model, serialized, where),
  )
  try {
    copyState(model, rebuilt, { prefix: '', changes, where })
    if (compile) compileLike(model, rebuilt)
    return rebuilt
  } catch (error) {
    disposeModel(rebuilt)
    throw error
  }
}

function checkPaths(model: tfl.LayersModel, changes: ReadonlyMap<string, LayerChange>, where: string): void {
  const paths = placedLayers(model).map(({ path }) => path)
  for (const path of changes.keys()) {
    if (paths.includes(path)) continue
    throw new RangeError(`${where}: layer must be one of the model, got ${path} (layers: ${listed(paths)})`)
  }
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 8).join(', ')
  return names.length > 8 ? `${shown}, and ${names.length - 8} more` : shown
}

/** Each model's configuration lists its own layers, so that a layer of two models would be built twice. */
function checkSharing(model: tfl.LayersModel, where: string): void {
  const seen = new Map<tfl.layers.Layer, { path: string; parent: tfl.LayersModel }>()
  for (const { layer, path, parent } of placedLayers(model)) {
    const other = seen.get(layer)
    if (other && (other.parent !== parent || other.path !== path)) {
      throw new RangeError(
        `${where}: every layer must stand in one model, got one that stands in two (${other.path} and ${path}: ` +
          'rebuilt, it would become two layers that train apart)',
      )
    }
    seen.set(layer, { path, parent })
  }
}

type Config = tf.serialization.ConfigDict

/** Applies changes to the configuration of a model, in place. */
function changedLayers(
  model: tfl.LayersModel,
  config: Config,
  prefix: string,
  changes: ReadonlyMap<string, LayerChange>,
  gone: LayersGone,
): Config {
  const entries = config.layers as Config[]
  for (const [index, layer] of model.layers.entries()) {
    const entry = entries[index] as Config & { className: string; config: Config }
    const path = prefix + layer.name
    const change = changes.get(path)
    if (isNestedModel(layer)) changedLayers(layer, entry.config, `${path}/`, changes, gone)
    else if (change) Object.assign(entry, change({ className: entry.className, config: entry.config }))
  }
  takeOut(config, prefix, gone)
  return config
}

/** Paths of layers that a rebuilt model does not have. */
interface LayersGone {
  readonly leftOut: ReadonlySet<string>
  readonly bypassed: ReadonlySet<string>
}

/** What a call reads: the name of a layer, the number of its call, the number of its output, and arguments. */
type Read = [name: string, call: number, output: number, ...rest: unknown[]]

/** Takes layers out of the configuration of one model, in place; those of models inside it are not looked at. */
function takeOut(config: Config, prefix: string, { leftOut, bypassed }: LayersGone): void {
  const entries = config.layers as unknown as { name: string; inboundNodes?: Read[][] }[]
  const isLeftOut = ({ name }: { name: string }) => leftOut.has(prefix + name)
  const isBypassed = ({ name }: { name: string }) => bypassed.has(prefix + name)
  if (!entries.some(entry => isLeftOut(entry) || isBypassed(entry))) return
  for (const entry of entries) {
    entry.inboundNodes = entry.inboundNodes?.map(reads =>
      reads.filter(([name]) => !leftOut.has(prefix + name)),
    ) as Read[][]
  }
  const inputOf = new Map(
    entries.filter(isBypassed).map(entry => [entry.name, entry.inboundNodes?.[0]?.[0] as Read] as const),
  )
  const past = (read: Read): Read => inputOf.get(read[0]) ?? read
  for (const entry of entries)
    entry.inboundNodes = entry.inboundNodes?.map(reads => reads.map(past)) as Read[][]
  config.outputLayers = (config.outputLayers as unknown as Read[]).map(read =>
    past(read).slice(0, 3),
  ) as unknown as Config[]
  config.layers = entries.filter(entry => !isLeftOut(entry) && !isBypassed(entry)) as unknown as Config[]
}

/** Puts a layer before all others, in the configuration of a model of one input, in place. */
function putBehindInput(model: tfl.LayersModel, config: Config, { className, config: own }: SerializedLayer) {
  const entries = config.layers as Config[]
  const input = (config.inputLayers as unknown as Read[] | undefined)?.[0]
  if (!input) {
    // Sequential: each layer reads the one before.
    const behind = entries[0]?.className === 'InputLayer' ? 1 : 0
    const batchInputShape = model.inputs[0]?.shape as number[]
    entries.splice(behind, 0, { className, config: { ...own, batchInputShape } })
    return
  }
  const name = own.name as string
  const redirected = entries as unknown as { inboundNodes?: Read[][] }[]
  for (const entry of redirected) {
    entry.inboundNodes = entry.inboundNodes?.map(reads =>
      reads.map(read => (read[0] === input[0] ? ([name, 0, 0, ...read.slice(3)] as Read) : read)),
    ) as Read[][]
  }
  const at = entries.findIndex(entry => entry.name === input[0])
  const inboundNodes = [[[input[0], 0, 0, {}]]] as unknown as Config[]
  entries.splice(at + 1, 0, { name, className, config: own, inboundNodes })
}

function built(model: tfl.LayersModel, config: Config, where: string): tfl.LayersModel {
  const kind = model.constructor as unknown as {
    fromConfig(cls: unknown, config: Config, customObjects: object, fastWeightInit: boolean): tfl.LayersModel
  }
  try {
    return kind.fromConfig(kind, config, {}, false)
  } catch (cause) {
    const [reason = ''] = (cause as Error).message.split('\n')
    throw new Error(`${where}: model must be one that can be built again, got: ${reason}`, { cause })
  }
}

type LayerClass = NonNullable<RebuildOptions['classes']>[number]

/**
 * Registers the classes of the model's layers, and the given ones in their place, while an action runs, so that layers
 * can be built that are not registered, and no layer becomes one of another class with the same name.
 */
function withClasses<T>(model: tfl.LayersModel, given: readonly LayerClass[], action: () => T): T {
  const { classNameMap } = tf.serialization.SerializationMap.getMap()
  const classes = new Map([...ownClasses(model), ...given.map(cls => [cls.className, cls] as const)])
  const registered = [...classes.keys()].map(className => [className, classNameMap[className]] as const)
  try {
    for (const [className, cls] of classes) classNameMap[className] = [cls, cls.fromConfig as never]
    return action()
  } finally {
    for (const [className, entry] of registered) {
      if (entry) classNameMap[className] = entry
      else delete classNameMap[className]
    }
  }
}

/** This library's BatchNormalization, if all those of the model are tfjs's and tfjs cannot train one of them. */
function trainableNorms(model: tfl.LayersModel): LayerClass[] {
  const norms = allPlacedLayers(model).flatMap(({ layer }) =>
    layer.getClassName() === 'BatchNormalization' ? [layer] : [],
  )
  const areAllOfTfjs = norms.every(layer => BatchNormalization.prototype instanceof layer.constructor)
  const isOneUntrainable = norms.some(layer => untrainableOption(layer) !== undefined)
  return areAllOfTfjs && isOneUntrainable ? [BatchNormalization as unknown as LayerClass] : []
}

/** The classes of a model's layers by name, without names that two classes share: the registered one is used there. */
function ownClasses(model: tfl.LayersModel): [string, LayerClass][] {
  const classes = new Map<string, Set<LayerClass>>()
  for (const { layer } of allPlacedLayers(model)) {
    const cls = layer.constructor as LayerClass
    classes.set(cls.className, (classes.get(cls.className) ?? new Set()).add(cls))
  }
  return [...classes].flatMap(([className, [cls, ...others]]) =>
    cls && others.length === 0 ? [[className, cls]] : [],
  )
}

/** How weights get from one model to another. */
interface Copying {
  /** Path of the model that holds them, with a slash. */
  readonly prefix: string
  readonly changes: ReadonlyMap<string, LayerChange>
  /** The caller, for errors. */
  readonly where: string
}

function copyState(from: tfl.LayersModel, to: tfl.LayersModel, copying: Copying): void {
  const { prefix, changes, where } = copying
  // This sets the flags of all weights inside, so it must come before each weight gets its own.
  if (!from.trainable) to.trainable = false
  const names = new Set(to.layers.map(({ name }) => name))
  for (const layer of from.layers) {
    if (!names.has(layer.name)) continue
    const target = to.getLayer(layer.name)
    const path = prefix + layer.name
    if (isNestedModel(layer)) copyState(layer, target as tfl.LayersModel, { ...copying, prefix: `${path}/` })
    else copyWeights(layer, target, counterpartIn(layer, changes.has(path)), `${where}: layer ${path}`)
  }
}

type Counterpart = (
  weight: tfl.LayerVariable,
  index: number,
  layer: tfl.layers.Layer,
) => tfl.LayerVariable | undefined

function copyWeights(
  from: tfl.layers.Layer,
  to: tfl.layers.Layer,
  counterpart: Counterpart,
  where: string,
): void {
  for (const [index, weight] of from.weights.entries()) {
    const target = counterpart(weight, index, to)
    if (!target) continue
    if (target.shape.join() !== weight.shape.join()) {
      throw new RangeError(
        `${where} (${from.getClassName()}) must keep the shapes of its weights, ` +
          `got ${ownName(weight)} of [${target.shape}] in the place of [${weight.shape}]`,
      )
    }
    // Not target.write(): it would apply the weight's constraint, which rounds.
    const variable = target.read() as tf.Variable
    variable.assign(weight.read())
    target.trainable = weight.trainable
  }
}

/** Full names come first: untrained weights are listed last, so that indices depend on the trainable flags. */
const sameFullNameOrIndex: Counterpart = (weight, index, layer) =>
  layer.weights.find(({ originalName }) => originalName === weight.originalName) ?? layer.weights[index]

const sameNameAndShape: Counterpart = (weight, _, layer) =>
  layer.weights.find(
    other => ownName(other) === ownName(weight) && other.shape.join() === weight.shape.join(),
  )

/** Networks in one layer have weights of the same name each, so that only full names tell them apart. */
const sameFullNameAndShape: Counterpart = ({ originalName, shape }, _, layer) =>
  layer.weights.find(other => other.originalName === originalName && other.shape.join() === shape.join())

function counterpartIn(layer: tfl.layers.Layer, isChanged: boolean): Counterpart {
  if (!isChanged) return sameFullNameOrIndex
  return isNetworkHolder(layer) ? sameFullNameAndShape : sameNameAndShape
}

function ownName({ originalName }: tfl.LayerVariable): string {
  return originalName.slice(originalName.lastIndexOf('/') + 1)
}

function compileLike(model: tfl.LayersModel, rebuilt: tfl.LayersModel): void {
  const { optimizer, loss, metrics } = model
  if (!optimizer) return
  const kind = optimizer.constructor as unknown as {
    fromConfig(cls: unknown, config: Config): tf.Optimizer
  }
  rebuilt.compile({
    optimizer: kind.fromConfig(kind, optimizer.getConfig()),
    loss,
    metrics,
  } as tfl.ModelCompileArgs)
}
