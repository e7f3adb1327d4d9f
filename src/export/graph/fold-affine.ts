import type { Constant, Graph, GraphNode, Operation, Value } from './graph.js'
import { floats } from './graph-builder.js'
import { readersOf } from './readers.js'

type Affine = Extract<Operation, { kind: 'affine' }>
type Dense = Extract<Operation, { kind: 'dense' }>
type Product = Dense | Extract<Operation, { kind: 'convolution' }>

/**
 * Folds every factor and offset a channel (a trained BatchNorm) into the convolution or dense layer that it follows, or
 * else into the dense layer that follows it, where nothing else reads what lies between them.
 */
export function foldAffine(graph: Graph): Graph {
  const readers = readersOf(graph)
  const nodes: (GraphNode | undefined)[] = []
  const indexOf = new Map<Value, number>()
  const producerOf = (value: Value): { readonly index: number; readonly node: GraphNode } | undefined => {
    const index = readers.get(value)?.length === 1 ? indexOf.get(value) : undefined
    const node = index === undefined ? undefined : nodes[index]
    return index === undefined || !node ? undefined : { index, node }
  }
  for (const node of graph.nodes) {
    const joined = joinedWith(node, producerOf)
    if (joined) nodes[joined.replaces] = undefined
    for (const output of node.outputs) indexOf.set(output, nodes.length)
    nodes.push(joined?.node ?? node)
  }
  return { ...graph, nodes: nodes.filter(node => node !== undefined) }
}

/** A node that does the work of another one too: that of the only value which it reads. */
function joinedWith(
  node: GraphNode,
  producerOf: (value: Value) => { readonly index: number; readonly node: GraphNode } | undefined,
): { readonly node: GraphNode; readonly replaces: number } | undefined {
  const { operation } = node
  if (operation.kind !== 'affine' && operation.kind !== 'dense') return undefined
  const before = producerOf(operation.x)
  if (!before) return undefined
  const first = before.node.operation
  if (operation.kind === 'affine' && isProduct(first)) {
    return {
      node: { ...node, name: before.node.name, operation: scaled(first, operation) },
      replaces: before.index,
    }
  }
  if (operation.kind === 'dense' && first.kind === 'affine') {
    return { node: { ...node, operation: ofScaled(first, operation) }, replaces: before.index }
  }
  return undefined
}

function isProduct(operation: Operation): operation is Product {
  return operation.kind === 'convolution' || operation.kind === 'dense'
}

/**
 * (x kernel + bias) scale + shift. Output channels are the last axis of a kernel; of a depthwise one, the last two.
 */
function scaled(product: Product, { scale, shift }: Affine): Product {
  const channels = scale.data.length
  const kernel = scaledBy(product.kernel, i => scale.data[i % channels] as number)
  const bias = Array.from(
    shift.data,
    (offset, i) => (product.bias?.data[i] ?? 0) * (scale.data[i] as number) + offset,
  )
  return { ...product, kernel, bias: floats(bias, [channels]) }
}

/** (x scale + shift) kernel + bias. */
function ofScaled({ x, scale, shift }: Affine, dense: Dense): Dense {
  const outputs = dense.kernel.shape[1] as number
  const kernel = scaledBy(dense.kernel, i => scale.data[Math.floor(i / outputs)] as number)
  const bias = Float64Array.from({ length: outputs }, (_, output) => dense.bias?.data[output] ?? 0)
  dense.kernel.data.forEach((weight, i) => {
    bias[i % outputs] =
      (bias[i % outputs] as number) + weight * (shift.data[Math.floor(i / outputs)] as number)
  })
  return { ...dense, x, kernel, bias: floats(bias, [outputs]) }
}

function scaledBy({ data, shape }: Constant, factor: (i: number) => number): Constant {
  return floats(
    Float32Array.from(data, (value, i) => value * factor(i)),
    shape,
  )
}
