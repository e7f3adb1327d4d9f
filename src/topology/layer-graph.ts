import { isPlainObject, isPrototypeName, type JsonObject, shown } from './json-value.js'
import { type LayerTopology, withNetworks } from './keras-topology.js'

/** What a topology is checked against. */
export interface LayerGraphLimits {
  /** Whether a class can be built. */
  readonly isRegistered: (className: string) => boolean
  /** How many numbers the weights hold together; undefined where that is not known. */
  readonly weightNumbers?: number | undefined
}

const MOST_LAYERS = 10_000
const MOST_VALUES = 2 ** 30

/** Settings that count something of which each has at least one weight, such as units. */
const COUNTED: ReadonlySet<string> = new Set([
  ...['units', 'filters', 'kernel_size', 'depth_multiplier', 'input_dim', 'output_dim'],
  ...['num_experts', 'hidden_units', 'outputs'],
])

/**
 * Checks that tfjs-layers can build a topology, and does not loop without end: names, classes, shapes of inputs, and
 * that the inputs of every layer come from layers of the model that do not wait for each other. Nested models are checked
 * in the same way.
 *
 * @param where the file, for errors
 * @returns the topology, with its layers reordered where tfjs-layers would number the calls of a shared layer wrongly
 * @throws Error naming the layer
 */
export function checkedLayerGraph(
  topology: LayerTopology,
  limits: LayerGraphLimits,
  where: string,
): LayerTopology {
  const layers = layersOf(topology)
  if (layers.length > MOST_LAYERS) {
    throw new Error(`${where}: model must have at most ${MOST_LAYERS} layers, got ${layers.length}`)
  }
  checkNames(topology, layers, where)
  const checked = layers.map(layer =>
    checkedLayer(layer, limits, `${where}: layer ${shown(nameOf(layer))}`, where),
  )
  if (topology.class_name === 'Sequential') return withLayers(topology, checked)
  return withLayers(topology, buildOrder(topology, checked, where))
}

function layersOf(topology: LayerTopology): readonly LayerTopology[] {
  return topology.config.layers as readonly LayerTopology[]
}

function withLayers(topology: LayerTopology, layers: readonly LayerTopology[]): LayerTopology {
  return { ...topology, config: { ...topology.config, layers } }
}

/** In a functional model, tfjs-layers takes the name beside the configuration, not the one in it. */
function nameOf(layer: LayerTopology): unknown {
  return 'inbound_nodes' in layer ? layer.name : layer.config.name
}

function checkNames(
  { class_name, config }: LayerTopology,
  layers: readonly LayerTopology[],
  where: string,
): void {
  if (config.name !== undefined && !isName(config.name)) {
    throw new Error(`${where}: name of the model must be text, got ${shown(config.name)}`)
  }
  const names = new Set<unknown>()
  for (const layer of layers) {
    const name = nameOf(layer)
    // Layers of a sequential model need no name.
    if (name === undefined && class_name === 'Sequential') continue
    if (!isName(name)) throw new Error(`${where}: name of a layer must be text, got ${shown(name)}`)
    if (names.has(name)) throw new Error(`${where}: layer names must be unique, got ${shown(name)} twice`)
    names.add(name)
    if (layer.config.name !== undefined && layer.config.name !== name) {
      throw new Error(
        `${where}: layer ${shown(name)} must have one name, got ${shown(layer.config.name)} as well`,
      )
    }
  }
}

function isName(name: unknown): name is string {
  return typeof name === 'string' && name !== '' && !isPrototypeName(name)
}

const NUMBER_TYPES = ['float32', 'int32', 'bool', 'complex64', 'string']

function checkedLayer(
  layer: LayerTopology,
  limits: LayerGraphLimits,
  context: string,
  where: string,
): LayerTopology {
  const { class_name, config } = layer
  if (!limits.isRegistered(class_name)) {
    throw new Error(
      `${context} must be of a class that is registered, got ${shown(class_name)} ` +
        '(import the package that defines it, or call tf.serialization.registerClass)',
    )
  }
  checkCounts(config, limits.weightNumbers ?? MOST_VALUES, context)
  checkInitializers(config, context)
  for (const key of ['batch_input_shape', 'input_shape']) checkShape(config[key], key, context)
  if (class_name === 'InputLayer' && config.dtype != null && !NUMBER_TYPES.includes(config.dtype as string)) {
    throw new Error(`${context}: dtype must be one of ${NUMBER_TYPES.join(', ')}, got ${shown(config.dtype)}`)
  }
  if (Array.isArray(config.layers) && 'class_name' in layer && isModel(class_name)) {
    return checkedLayerGraph(layer, limits, `${where}: model ${shown(config.name)}`)
  }
  const inner = config.layer
  if (!isPlainObject(inner) || !isPlainObject(inner.config)) {
    return {
      ...layer,
      config: withNetworks(config, network =>
        checkedLayerGraph(network, limits, `${context} > ${shown(network.config.name)}`),
      ),
    }
  }
  const checked = checkedLayer(inner as unknown as LayerTopology, limits, `${context} > layer`, where)
  return { ...layer, config: { ...config, layer: checked } }
}

/** @returns whether a class is one of tfjs-layers' models */
export function isModel(className: unknown): boolean {
  return className === 'Sequential' || className === 'Functional' || className === 'Model'
}

/** A layer cannot have more units than the model has weights: refuses it before tfjs-layers allocates the units. */
function checkCounts(config: JsonObject, most: number, context: string): void {
  for (const key of COUNTED) {
    for (const count of [config[key]].flat()) {
      if (typeof count !== 'number' || count <= most) continue
      throw new Error(`${context}: ${key} must be at most ${most}, the number of all weights, got ${count}`)
    }
  }
}

/** tfjs draws from a truncated distribution until a value is in range: with wrong numbers it would draw for ever. */
function checkInitializers(config: JsonObject, context: string): void {
  for (const [key, initializer] of Object.entries(config)) {
    if (!key.endsWith('initializer') || !isPlainObject(initializer)) continue
    const settings = isPlainObject(initializer.config) ? initializer.config : {}
    for (const name of ['mean', 'stddev', 'scale', 'minval', 'maxval', 'gain', 'value']) {
      const value = settings[name]
      const least = name === 'stddev' || name === 'scale' ? 0 : Number.NEGATIVE_INFINITY
      if (value == null || (typeof value === 'number' && Number.isFinite(value) && value >= least)) continue
      const requirement = least === 0 ? 'a number of at least 0' : 'a number'
      throw new Error(`${context}: ${name} of ${key} must be ${requirement}, got ${shown(value)}`)
    }
  }
}

function checkShape(shape: unknown, key: string, context: string): void {
  if (shape == null) return
  const isSide = (side: unknown): boolean =>
    side === null || (Number.isSafeInteger(side) && (side as number) > 0)
  const values = Array.isArray(shape) ? shape.reduce((product, side) => product * (side ?? 1), 1) : 0
  if (Array.isArray(shape) && shape.length <= 8 && shape.every(isSide) && values <= MOST_VALUES) return
  throw new Error(
    `${context}: ${key} must be sizes of at least 1 or null, ${MOST_VALUES} values at most together, got ${shown(shape)}`,
  )
}

/**
 * Sorts the layers so that tfjs-layers makes the calls of each in the order in which they are listed. It makes calls in
 * rounds, over the layers in their order, and numbers the calls of a layer in the order in which it makes them.
 */
function buildOrder(
  topology: LayerTopology,
  layers: readonly LayerTopology[],
  where: string,
): readonly LayerTopology[] {
  const graph = new Map(layers.map(layer => [nameOf(layer), layer] as const))
  for (const layer of layers) checkCalls(layer, graph, where)
  const order = callOrder(graph, where)
  for (const key of ['input_layers', 'output_layers']) checkEnds(topology, key, graph, where)
  return order
}

/** The number of a layer's first listed call: a nested model and an input have a call 0 that is not listed. */
function firstCall({ class_name }: LayerTopology): number {
  return isModel(class_name) || class_name === 'InputLayer' ? 1 : 0
}

function callsOf({ inbound_nodes = [] }: LayerTopology): NonNullable<LayerTopology['inbound_nodes']> {
  return inbound_nodes
}

type Graph = ReadonlyMap<unknown, LayerTopology>

function checkCalls(layer: LayerTopology, graph: Graph, where: string): void {
  const context = `${where}: layer ${shown(nameOf(layer))}`
  if (layer.class_name === 'InputLayer' && callsOf(layer).length > 0) {
    throw new Error(`${context} must have no inputs, got a call`)
  }
  for (const inputs of callsOf(layer)) {
    // tfjs-layers would skip such a call, and then wait for it for ever.
    if (inputs.length === 0) {
      throw new Error(`${context} must be given at least one tensor in each call, got none`)
    }
    for (const [name, call, output] of inputs) checkReference(name, call, output, graph, context)
  }
}

function checkReference(name: unknown, call: number, output: number, graph: Graph, context: string): void {
  const source = graph.get(name)
  if (!source) {
    throw new Error(
      `${context} must be given tensors of layers of the model, got ${shown(name)} (${listed(graph)})`,
    )
  }
  const calls = firstCall(source) + callsOf(source).length
  if (call >= calls) {
    throw new Error(`${context} must be given one of ${calls} calls of ${shown(name)}, got number ${call}`)
  }
  const outputs = isModel(source.class_name) ? outputCount(source) : undefined
  if (outputs !== undefined && output >= outputs) {
    throw new Error(
      `${context} must be given one of ${outputs} outputs of ${shown(name)}, got number ${output}`,
    )
  }
}

function outputCount({ class_name, config }: LayerTopology): number {
  return class_name === 'Sequential' ? 1 : (config.output_layers as unknown[]).length
}

function listed(graph: Graph): string {
  const names = [...graph.keys()].map(shown)
  const shownNames = names.slice(0, 8).join(', ')
  return names.length > 8 ? `layers: ${shownNames}, and ${names.length - 8} more` : `layers: ${shownNames}`
}

/** The layers in the order in which their first calls can be made; a layer's calls are made as they are listed. */
function callOrder(graph: Graph, where: string): readonly LayerTopology[] {
  const numMade = new Map([...graph].map(([name, layer]) => [name, firstCall(layer)] as const))
  const order = new Set<LayerTopology>()
  let waiting = [...graph.values()]
  while (waiting.length > 0) {
    const before = waiting.length
    let advanced = false
    waiting = waiting.filter(layer => {
      const name = nameOf(layer)
      const calls = callsOf(layer)
      let next = (numMade.get(name) as number) - firstCall(layer)
      const start = next
      while (next < calls.length && isReady(calls[next], numMade)) {
        next++
        numMade.set(name, firstCall(layer) + next)
      }
      advanced ||= next > start
      if (next > 0 || calls.length === 0) order.add(layer)
      return next < calls.length
    })
    if (waiting.length < before || advanced) continue
    throw new Error(`${where}: layers must not wait for each other, got ${cycle(waiting, numMade)}`)
  }
  return [...order]
}

function isReady(
  inputs: NonNullable<LayerTopology['inbound_nodes']>[number] | undefined,
  numMade: ReadonlyMap<unknown, number>,
): boolean {
  return (inputs ?? []).every(([name, call]) => call < (numMade.get(name) ?? 0))
}

/** One cycle among layers that wait for each other, such as `a -> b -> a`. */
function cycle(waiting: readonly LayerTopology[], numMade: ReadonlyMap<unknown, number>): string {
  const graph = new Map(waiting.map(layer => [nameOf(layer), layer] as const))
  const path: unknown[] = []
  let name: unknown = nameOf(waiting[0] as LayerTopology)
  while (!path.includes(name)) {
    path.push(name)
    const layer = graph.get(name) as LayerTopology
    const next = callsOf(layer)[(numMade.get(name) as number) - firstCall(layer)] ?? []
    name = next.find(([source, call]) => call >= (numMade.get(source) ?? 0))?.[0]
  }
  const names = [...path.slice(path.indexOf(name)), name].map(shown)
  return names.length > 8 ? `${names.slice(0, 7).join(' -> ')} -> ... -> ${names.at(-1)}` : names.join(' -> ')
}

function checkEnds({ config }: LayerTopology, key: string, graph: Graph, where: string): void {
  const ends = config[key] as readonly (readonly [string, number, number])[]
  if (ends.length === 0) throw new Error(`${where}: ${key} must name a layer, got none`)
  for (const [name, call, output] of ends) {
    checkReference(name, call, output, graph, `${where}: ${key}`)
    if (key === 'input_layers' && graph.get(name)?.class_name !== 'InputLayer') {
      throw new Error(`${where}: ${key} must name an InputLayer, got ${shown(name)}`)
    }
  }
}
