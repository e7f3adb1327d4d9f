import { isPlainObject, type JsonObject, shown } from './json-value.js'
import { historyOf } from './keras-nodes.js'

/** Operations of two tensors that tfjs-layers has as layers of the same class name. */
const TENSOR_OPERATIONS: ReadonlySet<string> = new Set(['Add', 'Multiply', 'Maximum', 'Minimum'])

/** For each operation of a tensor and a number, the scale and offset of the Rescaling layer that does the same. */
const RESCALINGS: ReadonlyMap<
  string,
  (number: number) => { readonly scale: number; readonly offset: number }
> = new Map([
  ['Add', number => ({ scale: 1, offset: number })],
  ['Subtract', number => ({ scale: 1, offset: -number })],
  ['Multiply', number => ({ scale: number, offset: 0 })],
  ['Divide', number => ({ scale: 1 / number, offset: 0 })],
  ['TrueDivide', number => ({ scale: 1 / number, offset: 0 })],
])

/**
 * Replaces an operation of Keras 3 in a functional model by a layer that computes the same: the sum, product, maximum
 * or minimum of two tensors, or one of `+ - * /` of a tensor and a number, as in `x / 127.5 - 1`.
 *
 * @returns undefined if it is a layer already
 * @throws Error naming the operation if there is no such layer: tfjs-layers builds layers only
 */
export function operationLayer(layer: JsonObject, where: string): JsonObject | undefined {
  if (!isOperation(layer)) return undefined
  const kind = String(layer.class_name)
  const [node, ...further] = Array.isArray(layer.inbound_nodes) ? layer.inbound_nodes : []
  const args = isPlainObject(node) && Array.isArray(node.args) ? node.args : []
  const [x, y] = args
  const settingsOf = RESCALINGS.get(kind)
  if (args.length === 2 && further.length === 0 && historyOf(x)) {
    if (historyOf(y) && TENSOR_OPERATIONS.has(kind)) return { ...layer, module: 'keras.layers' }
    if (typeof y === 'number' && settingsOf) return rescaling(layer, settingsOf(y), x)
  }
  throw new Error(`${where} must be a layer, got the operation ${shown(kind)} (put it into a layer of Keras)`)
}

/** A `.h5` file does not name the module; in it, an operation has no settings but its name, and a layer has some. */
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
