import { className, isPlainObject, type JsonObject, requiredObject, shown } from './json-value.js'
import { kerasNode, type LayerNode, tensorReferences } from './keras-nodes.js'
import { operationLayer } from './keras-operations.js'
import { layerSettings, MODELS } from './keras-settings.js'

/** A layer or a model as tfjs-layers reads it. */
export interface LayerTopology {
  readonly class_name: string
  readonly config: JsonObject
  /** In a functional model: its name once more, and its calls. */
  readonly name?: string
  readonly inbound_nodes?: readonly LayerNode[]
}

const DEEPEST = 32

/**
 * Turns the configuration of a Keras model (Keras 2 or 3) into the one that tfjs-layers builds the same model from.
 * Nested models keep their names; a configuration that tfjs-layers wrote itself comes back as it was.
 *
 * @param config `model_config` of a `.h5` or of a tfjs `model.json`, or the `config.json` of a `.keras` file; JSON
 * @param where the file, for errors
 * @returns a new object, which shares nothing with `config`
 * @throws Error naming the layer if tfjs-layers cannot compute what it does, such as convolutions in groups; Error if
 *   the configuration is not one of Keras
 */
export function kerasTopology(config: unknown, where: string): LayerTopology {
  const model = requiredObject(config, `${where}: model`)
  if (!MODELS.includes(className(model, `${where}: model`))) {
    throw new Error(
      `${where}: model must be of the class Sequential or Functional, got ${shown(model.class_name)} ` +
        '(a custom class is defined in Python and cannot be built here)',
    )
  }
  return modelTopology(model, where, 0)
}

function modelTopology(model: JsonObject, where: string, depth: number): LayerTopology {
  if (depth > DEEPEST) throw new Error(`${where}: models must be nested at most ${DEEPEST} deep, got more`)
  const isSequential = model.class_name === 'Sequential'
  const modelConfig = isSequential && Array.isArray(model.config) ? { layers: model.config } : model.config
  const config = requiredObject(modelConfig, `${where}: config of ${shown(model.class_name)}`)
  if (!Array.isArray(config.layers)) {
    throw new Error(`${where}: layers of ${shown(config.name)} must be a list, got ${shown(config.layers)}`)
  }
  const layers: readonly unknown[] = config.layers
  return isSequential
    ? { class_name: 'Sequential', config: sequential(config, layers, where, depth) }
    : { class_name: className(model, where), config: functional(config, layers, where, depth) }
}

function sequential(
  { layers: _, build_input_shape, dtype: _dtype, ...config }: JsonObject,
  layers: readonly unknown[],
  where: string,
  depth: number,
): JsonObject {
  const converted = layers.map(layer => layerTopology(layer, where, depth))
  const [first] = converted
  if (!first || hasInput(first)) return { ...config, layers: converted }
  if (!Array.isArray(build_input_shape)) {
    throw new Error(
      `${where}: model ${shown(config.name)} must know the shape of its input, got none ` +
        '(build it in Keras, or begin it with keras.Input, and save it again)',
    )
  }
  return { ...config, layers: [inputLayer(build_input_shape, String(config.name)), ...converted] }
}

function hasInput({ class_name, config }: LayerTopology): boolean {
  return MODELS.includes(class_name) || 'batch_input_shape' in config || 'input_shape' in config
}

function inputLayer(shape: readonly unknown[], model: string): LayerTopology {
  return {
    class_name: 'InputLayer',
    config: { name: `${model}_input`, batch_input_shape: shape, dtype: 'float32', sparse: false },
  }
}

function functional(
  { layers: _, dtype: _dtype, ...config }: JsonObject,
  layers: readonly unknown[],
  where: string,
  depth: number,
): JsonObject {
  const ofKeras3 = isOfKeras3(layers)
  const classes = new Map(layers.filter(isPlainObject).map(layer => [layer.name, layer.class_name] as const))
  // In tfjs the calls of a nested model count from 1, since call 0 is the model's own graph. Keras 3 counts them from 0,
  // except where a functional model is among the inputs or outputs: there it counts from 1 as well.
  const callOffset = (name: unknown): number => (ofKeras3 && MODELS.includes(`${classes.get(name)}`) ? 1 : 0)
  const endOffset = (name: unknown): number => (ofKeras3 && classes.get(name) === 'Sequential' ? 1 : 0)
  const converted = layers.map(value => {
    const layer = requiredObject(value, `${where}: layer`)
    const context = `${where}: layer ${shown(layer.name)}`
    const operation = operationLayer(layer, context) ?? layer
    const nodes = operation.inbound_nodes
    if (!Array.isArray(nodes)) {
      throw new Error(`${context} must list its inbound_nodes, got ${shown(nodes)}`)
    }
    return {
      ...layerTopology(operation, where, depth),
      name: layer.name as string,
      inbound_nodes: nodes.map(node => kerasNode(node, callOffset, context)),
    }
  })
  const ends = (key: 'input_layers' | 'output_layers') =>
    tensorReferences(config[key], endOffset, `${where}: ${key} of ${shown(config.name)}`)
  return {
    ...config,
    layers: converted,
    input_layers: ends('input_layers'),
    output_layers: ends('output_layers'),
  }
}

/** Keras 3 writes calls as objects of arguments, Keras 2 as lists. */
function isOfKeras3(layers: readonly unknown[]): boolean {
  return layers.some(
    layer =>
      isPlainObject(layer) &&
      Array.isArray(layer.inbound_nodes) &&
      layer.inbound_nodes.some(node => isPlainObject(node) && 'args' in node),
  )
}

function layerTopology(value: unknown, where: string, depth: number): LayerTopology {
  const layer = requiredObject(value, `${where}: layer`)
  const kind = className(layer, `${where}: layer ${shown(layer.name)}`)
  if (MODELS.includes(kind)) return modelTopology(layer, where, depth + 1)
  const config = requiredObject(layer.config, `${where}: config of layer ${shown(layer.name)}`)
  const name = shown(config.name ?? layer.name)
  const settings = layerSettings(kind, config, `${where}: layer ${name}`)
  const inner = settings.layer
  // TimeDistributed and Bidirectional hold a layer of their own.
  if (!isPlainObject(inner) || !('class_name' in inner)) {
    const network = (model: LayerTopology) => modelTopology({ ...model }, where, depth + 1)
    return { class_name: kind, config: withNetworks(settings, network) }
  }
  if (depth >= DEEPEST) throw new Error(`${where}: layers must be nested at most ${DEEPEST} deep, got more`)
  return { class_name: kind, config: { ...settings, layer: layerTopology(inner, where, depth + 1) } }
}

/**
 * The configuration of a layer with each network in it changed. A layer holds networks as values of its settings, or in
 * lists of them, such as `experts`.
 */
export function withNetworks(
  config: JsonObject,
  change: (network: LayerTopology) => LayerTopology,
): JsonObject {
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => {
      if (isNetwork(value)) return [key, change(value)]
      if (!Array.isArray(value) || !value.some(isNetwork)) return [key, value]
      return [key, value.map(item => (isNetwork(item) ? change(item) : item))]
    }),
  )
}

function isNetwork(value: unknown): value is LayerTopology & JsonObject {
  return isPlainObject(value) && MODELS.includes(`${value.class_name}`) && 'config' in value
}
