import { isPlainObject, isPrototypeName, type JsonObject, shown } from './json-value.js'
import type { LayerTopology } from './keras-topology.js'

/** What a topology is checked against. */
export interface LayerGraphLimits {
  /** Whether a class can be built. */
  readonly isRegistered: (className: string) => boolean
  /** How many numbers the weights hold together; undefined where that is not known. */
  readonly weightNumbers?: number | undefined
}

const MOST_LAYERS = 10_000
const MOST_VALUES = 2 ** 30

/** Settings of which each unit takes at least one weight. */
const COUNTED: ReadonlySet<string> = new Set([
  ...['units', 'filters', 'kernel_size', 'depth_multiplier', 'input_dim', 'output_dim'],
  ...['num_experts', 'hidden_units', 'outputs'],
])

/**
 * Checks that tfjs-layers can come to an end with a topology: names, classes, shapes of inputs, and that every layer
 * is given tensors of layers that are there and do not wait for each other. Nested models are checked like it.
 *
 * @param where the file, for errors
 * @returns the topology; its layers in another order where tfjs-layers would number the calls of a shared layer wrongly
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

/** tfjs-layers calls a layer of a functional model by the name beside its configuration. */
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
  if (!isPlainObject(inner) || !isPlainObject(inner.config)) return layer
  const checked = checkedLayer(inner as unknown as LayerTopology, limits, `${context} > layer`, where)
  return { ...layer, config: { ...config, layer: checked } }
}

/** @returns whether a class is one of tfjs-layers' models */
export function isModel(className: unknown): boolean {
  return className === 'Sequential' || className === 'Functional' || className === 'Model'
}

/** A layer cannot have more units than there are weights: what is asked for must not be made only to be refused. */
function checkCounts(config: JsonObject, most: number, context: string): void {
  for (const key of COUNTED) {
    for (const count of [config[key]].flat()) {
      if (typeof count !== 'number' || count <= most) continue
      throw new Error(`${context}: ${key} must be at most ${most}, the number of all weights, got ${count}`)
    }
  }
}

/** A truncated distribution is drawn from until a value fits: with such numbers none ever does. */
function checkInitializers(config: JsonObject, context: string): void {
  for (const [key, initializer] of Object.entries(config)) {
    if (!key.endsWith('initializer') || !isPlainObject(initializer)) continue
    const settings = isPlainObject(initializer.config) ? initializer.config : {}
    for (const name of ['mean', 'stddev', 'scale', 'minval', 'maxval', 'gain', 'value']) {
      const value = settings[name]
      const least = name === 'stddev' || name === 'scale' ? 0 : Number.NEGATIVE_INFINITY
      if (value == null || (typeof value === 'number' && Number.isFinite(value) && value >= least)) continue
      const wanted = least === 0 ? 'a number of at least 0' : 'a number'
      throw new Error(`${context}: ${name} of ${key} must be ${wanted}, got ${shown(value)}`)
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
 * tfjs-layers makes the calls of its layers in rounds, and numbers them as it comes by them. The layers in an order in
 * which it comes by them as they are listed.
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

/** How many calls a layer has before its own are made: a model and an input have one that is themselves. */
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
    throw new Error(`${context} must be given nothing, got a call`)
  }
  for (const inputs of callsOf(layer)) {
    // tfjs-layers would leave this call out, and wait for it without end.
    if (inputs.length === 0) {
      throw new Error(`${context} must be given at least one tensor in each call, got none`)
    }
    for (const [name, call, output] of inputs) checkReference(name, call, output, graph, context)
  }
}

function checkReference(name: unknown, call: number, output: number, graph: Graph, context: string): void {
  const from = graph.get(name)
  if (!from) {
    throw new Error(
      `${context} must be given tensors of layers of the model, got ${shown(name)} (${listed(graph)})`,
    )
  }
  const calls = firstCall(from) + callsOf(from).length
  if (call >= calls) {
    throw new Error(`${context} must be given one of ${calls} calls of ${shown(name)}, got number ${call}`)
  }
  const outputs = isModel(from.class_name) ? outputCount(from) : undefined
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

/** Layers by when their first call can be made, each layer's calls one after the other. */
function callOrder(graph: Graph, where: string): readonly LayerTopology[] {
  const made = new Map([...graph].map(([name, layer]) => [name, firstCall(layer)] as const))
  const order = new Set<LayerTopology>()
  let waiting = [...graph.values()]
  while (waiting.length > 0) {
    const before = waiting.length
    let advanced = false
    waiting = waiting.filter(layer => {
      const name = nameOf(layer)
      const calls = callsOf(layer)
      let next = (made.get(name) as number) - firstCall(layer)
      const start = next
      while (next < calls.length && isReady(calls[next], made)) {
        next++
        made.set(name, firstCall(layer) + next)
      }
      advanced ||= next > start
      if (next > 0 || calls.length === 0) order.add(layer)
      return next < calls.length
    })
    if (waiting.length < before || advanced) continue
    throw new Error(`${where}: layers must not wait for each other, got ${circle(waiting, made)}`)
  }
  return [...order]
}

function isReady(
  inputs: NonNullable<LayerTopology['inbound_nodes']>[number] | undefined,
  made: ReadonlyMap<unknown, number>,
): boolean {
  return (inputs ?? []).every(([name, call]) => call < (made.get(name) ?? 0))
}

/** One circle among layers of which each waits for another of them, such as `a -> b -> a`. */
function circle(waiting: readonly LayerTopology[], made: ReadonlyMap<unknown, number>): string {
  const graph = new Map(waiting.map(layer => [nameOf(layer), layer] as const))
  const path: unknown[] = []
  let name: unknown = nameOf(waiting[0] as LayerTopology)
  while (!path.includes(name)) {
    path.push(name)
    const layer = graph.get(name) as LayerTopology
    const next = callsOf(layer)[(made.get(name) as number) - firstCall(layer)] ?? []
    name = next.find(([from, call]) => call >= (made.get(from) ?? 0))?.[0]
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
