import {
  type Constant,
  type Graph,
  type GraphNode,
  type Operation,
  samePadding,
  type Value,
} from './graph.js'
import { floats } from './graph-builder.js'
import { readersOf } from './readers.js'

type Affine = Extract<Operation, { kind: 'affine' }>
type Dense = Extract<Operation, { kind: 'dense' }>
type Convolution = Extract<Operation, { kind: 'convolution' }>
type Product = Dense | Convolution

/**
 * Folds every factor and offset a channel (a trained BatchNorm, the scaling of images) into the convolution or dense layer that
 * it follows, or else into the one that follows it, where nothing else reads what lies between them. A convolution that pads
 * cannot take over what comes before it: its zeros would have to be other numbers.
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
  if (operation.kind !== 'affine' && !isProduct(operation)) return undefined
  const before = producerOf(operation.x)
  if (!before) return undefined
  const first = before.node.operation
  if (operation.kind === 'affine' && isProduct(first)) {
    return {
      node: { ...node, name: before.node.name, operation: scaled(first, operation) },
      replaces: before.index,
    }
  }
  if (isProduct(operation) && first.kind === 'affine' && takesOver(operation)) {
    return { node: { ...node, operation: ofScaled(first, operation) }, replaces: before.index }
  }
  return undefined
}

/** Whether a product can scale its own input; of routers the scores would be rounded otherwise, and with them their choices. */
function takesOver(product: Product): boolean {
  if (product.kind === 'dense') return true
  return product.exact !== true && !pads(product)
}

function pads({ x, kernel, padding, strides, dilations }: Convolution): boolean {
  if (padding === 'valid') return false
  return ([0, 1] as const).some(axis => {
    const around = samePadding(
      x.shape[axis + 1] ?? 1,
      kernel.shape[axis] ?? 1,
      strides[axis],
      dilations[axis],
    )
    return around.some(count => count > 0)
  })
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

/**
 * (x scale + shift) kernel + bias. Of a kernel the last axis are the outputs and the one before it the inputs; of a depthwise one
 * each input has the outputs of the last axis.
 */
function ofScaled<Of extends Product>({ x, scale, shift }: Affine, product: Of): Of {
  const last = product.kernel.shape.at(-1) as number
  const inputs = scale.data.length
  const isDepthwise = product.kind === 'convolution' && product.depthwise
  const inputOf = (i: number) => Math.floor(i / last) % inputs
  const outputOf = (i: number) => (isDepthwise ? i % (inputs * last) : i % last)
  const kernel = scaledBy(product.kernel, i => scale.data[inputOf(i)] as number)
  const outputs = isDepthwise ? inputs * last : last
  const bias = Float64Array.from({ length: outputs }, (_, output) => product.bias?.data[output] ?? 0)
  product.kernel.data.forEach((weight, i) => {
    bias[outputOf(i)] = (bias[outputOf(i)] as number) + weight * (shift.data[inputOf(i)] as number)
  })
  return { ...product, x, kernel, bias: floats(bias, [outputs]) }
}

function scaledBy({ data, shape }: Constant, factor: (i: number) => number): Constant {
  return floats(
    Float32Array.from(data, (value, i) => value * factor(i)),
    shape,
  )
}
