import { isPlainObject, type JsonObject, shown } from './json-value.js'

/** Output number `tensor` of call number `call` of a layer. */
export type TensorReference = readonly [layer: string, call: number, tensor: number]

/** One call of a layer: its input tensors, each with the same further arguments. */
export type LayerNode = readonly (readonly [...TensorReference, JsonObject])[]

/** Gives the number to add to the number of a call, for the name of the layer that is called. */
export type CallOffset = (layer: unknown) => number

/**
 * One call of a layer in tfjs's form, from that of Keras 2 (lists) or Keras 3 (arguments).
 *
 * @throws Error where tensors are passed by name or among other arguments: tfjs-layers has no such calls
 */
export function kerasNode(node: unknown, offset: CallOffset, where: string): LayerNode {
  if (isPlainObject(node) && Array.isArray(node.args))
    return argumentsNode(node.args, node.kwargs, offset, where)
  if (!Array.isArray(node)) throw new Error(`${where} must be given its inputs as a list, got ${shown(node)}`)
  // TensorFlow 2 leaves out the outer list of some calls with one input.
  const inputs: readonly unknown[] = typeof node[0] === 'string' ? [node] : node
  return inputs.map(input => {
    const [reference, kwargs] = split(input, where)
    return [...shifted(reference, offset), kwargs] as const
  })
}

function split(input: unknown, where: string): [TensorReference, JsonObject] {
  const [layer, call, tensor, kwargs] = Array.isArray(input) ? input : []
  if (kwargs != null && !isPlainObject(kwargs)) {
    throw new Error(`${where}: further arguments must be an object, got ${shown(kwargs)}`)
  }
  return [requiredReference(layer, call, tensor, input, where), kwargs ?? {}]
}

function argumentsNode(
  args: readonly unknown[],
  kwargs: unknown,
  offset: CallOffset,
  where: string,
): LayerNode {
  const { inputs, ...others } = isPlainObject(kwargs) ? kwargs : {}
  for (const [name, value] of Object.entries(others)) {
    if (!holdsTensor(value)) continue
    throw new Error(
      `${where}: argument ${shown(name)} must be no tensor, got one (tfjs-layers passes inputs only)`,
    )
  }
  // The other arguments are dropped: one says whether Keras 3 traced the model for training, which tfjs decides at each
  // call; the rest have their default values.
  const values = inputs === undefined ? args : [...args, inputs]
  return tensorsIn(values, where).map(history => {
    const [layer, call, tensor] = history
    return [...shifted(requiredReference(layer, call, tensor, history, where), offset), {}] as const
  })
}

function tensorsIn(values: readonly unknown[], where: string): (readonly unknown[])[] {
  return values.flatMap(value => {
    const inner = tupleItems(value)
    if (inner) return tensorsIn(inner, where)
    const history = historyOf(value)
    if (history) return [history]
    if (value === null) return []
    throw new Error(`${where}: inputs must be tensors, got ${shown(value)}`)
  })
}

/** The entries of a list, or of a tuple as Keras 3 writes it. */
function tupleItems(value: unknown): readonly unknown[] | undefined {
  if (Array.isArray(value)) return value
  if (!isPlainObject(value) || value.class_name !== '__tuple__') return undefined
  return Array.isArray(value.items) ? value.items : Array.isArray(value.config) ? value.config : undefined
}

/** The layer, call and output that a tensor of Keras 3 comes from; undefined if the value is not a tensor. */
export function historyOf(value: unknown): readonly unknown[] | undefined {
  if (!isPlainObject(value) || value.class_name !== '__keras_tensor__' || !isPlainObject(value.config)) {
    return undefined
  }
  return Array.isArray(value.config.keras_history) ? value.config.keras_history : undefined
}

function holdsTensor(value: unknown): boolean {
  if (historyOf(value)) return true
  return tupleItems(value)?.some(item => historyOf(item) !== undefined) ?? false
}

/**
 * The inputs or outputs of a functional model as tfjs lists them. Keras writes a single one without a list around it,
 * several as a list, and named ones as an object, which are taken in the order of their sorted names.
 */
export function tensorReferences(ends: unknown, offset: CallOffset, where: string): TensorReference[] {
  const references = isPlainObject(ends)
    ? Object.keys(ends)
        .sort()
        .map(name => ends[name])
    : ends
  if (!Array.isArray(references)) throw new Error(`${where} must be a list, got ${shown(ends)}`)
  if (typeof references[0] === 'string') {
    const [layer, call, tensor] = references
    return [shifted(requiredReference(layer, call, tensor, references, where), offset)]
  }
  return references.map(reference => {
    const [layer, call, tensor] = Array.isArray(reference) ? reference : []
    return shifted(requiredReference(layer, call, tensor, reference, where), offset)
  })
}

function requiredReference(
  layer: unknown,
  call: unknown,
  tensor: unknown,
  value: unknown,
  where: string,
): TensorReference {
  if (typeof layer === 'string' && isIndex(call) && isIndex(tensor)) return [layer, call, tensor]
  throw new Error(`${where}: a tensor must be [layer name, call, output], got ${shown(value)}`)
}

function isIndex(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function shifted([layer, call, tensor]: TensorReference, offset: CallOffset): TensorReference {
  return [layer, call + offset(layer), tensor]
}
