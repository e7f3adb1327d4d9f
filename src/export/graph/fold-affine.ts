import { type Constant, type Graph, type GraphNode, type Operation, type Value, valuesRead } from './graph.js'
import { floats } from './graph-builder.js'

type Affine = Extract<Operation, { kind: 'affine' }>
type Product = Extract<Operation, { kind: 'convolution' | 'dense' }>

/**
 * Folds every factor and offset a channel (a trained BatchNorm) into the convolution or dense layer that it follows,
 * where nothing else reads that layer: kernel' = kernel scale, bias' = bias scale + shift.
 */
export function foldAffine(graph: Graph): Graph {
  const readers = countReaders(graph)
  const nodes: GraphNode[] = []
  const indexOf = new Map<Value, number>()
  for (const node of graph.nodes) {
    const { operation } = node
    const index = operation.kind === 'affine' ? indexOf.get(operation.x) : undefined
    const preceding = index === undefined ? undefined : nodes[index]
    if (
      operation.kind === 'affine' &&
      preceding &&
      isProduct(preceding.operation) &&
      readers.get(operation.x) === 1
    ) {
      nodes[index as number] = {
        ...preceding,
        operation: scaled(preceding.operation, operation),
        outputs: node.outputs,
      }
      for (const output of node.outputs) indexOf.set(output, index as number)
      continue
    }
    for (const output of node.outputs) indexOf.set(output, nodes.length)
    nodes.push(node)
  }
  return { ...graph, nodes }
}

function countReaders({ nodes, outputs }: Graph): Map<Value, number> {
  const readers = new Map<Value, number>()
  const read = [
    ...nodes.flatMap(({ operation }) => valuesRead(operation)),
    ...outputs.map(({ value }) => value),
  ]
  for (const value of read) readers.set(value, (readers.get(value) ?? 0) + 1)
  return readers
}

function isProduct(operation: Operation): operation is Product {
  return operation.kind === 'convolution' || operation.kind === 'dense'
}

/** Output channels are the last axis of a kernel; of a depthwise one, the last two. */
function scaled(product: Product, { scale, shift }: Affine): Product {
  const channels = scale.data.length
  const kernel = scaledBy(product.kernel, i => scale.data[i % channels] as number)
  const bias = Array.from(
    shift.data,
    (offset, i) => (product.bias?.data[i] ?? 0) * (scale.data[i] as number) + offset,
  )
  return { ...product, kernel, bias: floats(bias, [channels]) }
}

function scaledBy({ data, shape }: Constant, factor: (i: number) => number): Constant {
  return floats(
    Float32Array.from(data, (value, i) => value * factor(i)),
    shape,
  )
}
