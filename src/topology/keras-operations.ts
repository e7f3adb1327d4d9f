import { isPlainObject, type JsonObject, shown } from './json-value.js'
import { historyOf } from './keras-nodes.js'

/** Layers that compute what an operation of two tensors does. */
const LAYERS: ReadonlySet<string> = new Set(['Add', 'Multiply', 'Maximum', 'Minimum'])

/** Scale and offset of `x`, by the operation of `x` and a number. */
const RESCALED: ReadonlyMap<string, (number: number) => { readonly scale: number; readonly offset: number }> =
  new Map([
    ['Add', number => ({ scale: 1, offset: number })],
    ['Subtract', number => ({ scale: 1, offset: -number })],
    ['Multiply', number => ({ scale: number, offset: 0 })],
    ['Divide', number => ({ scale: 1 / number, offset: 0 })],
    ['TrueDivide', number => ({ scale: 1 / number, offset: 0 })],
  ])

/**
 * The layer that does what an operation of Keras 3 in a functional model does: sums, products, greatest and least of
 * two tensors, and `x / 127.5 - 1` with numbers.
 *
 * @returns undefined where the value is a layer already
 * @throws Error naming any other operation: tfjs-layers has layers only
 */
export function operationLayer(layer: JsonObject, where: string): JsonObject | undefined {
  if (!isOperation(layer)) return undefined
  const kind = String(layer.class_name)
  const [node, ...further] = Array.isArray(layer.inbound_nodes) ? layer.inbound_nodes : []
  const args = isPlainObject(node) && Array.isArray(node.args) ? node.args : []
  const [x, y] = args
  const rescaled = RESCALED.get(kind)
  if (args.length === 2 && further.length === 0 && historyOf(x)) {
    if (historyOf(y) && LAYERS.has(kind)) return { ...layer, module: 'keras.layers' }
    if (typeof y === 'number' && rescaled) return rescaling(layer, rescaled(y), x)
  }
  throw new Error(`${where} must be a layer, got the operation ${shown(kind)} (put it into a layer of Keras)`)
}

/** In a `.h5` file the module is not named: an operation has no settings there, a layer always has. */
function isOperation({ module, config, inbound_nodes }: JsonObject): boolean {
  if (typeof module === 'string') return /^keras\.(src\.)?ops\b/.test(module)
  const isOfKeras3 = Array.isArray(inbound_nodes) && isPlainObject(inbound_nodes[0])
  return isOfKeras3 && isPlainObject(config) && Object.keys(config).every(key => key === 'name')
}

function rescaling(layer: JsonObject, settings: JsonObject, x: unknown): JsonObject {
  return {
    class_name: 'Rescaling',
    config: { name: layer.name, ...settings },
    name: layer.name,
    inbound_nodes: [{ args: [x], kwargs: {} }],
  }
}
