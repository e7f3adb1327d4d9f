import { foldAffine } from './fold-affine.js'
import { foldScales } from './fold-scales.js'
import { type Graph, type GraphNode, type Operation, type Value, valuesRead } from './graph.js'
import { readersOf } from './readers.js'

type Reshape = Extract<Operation, { kind: 'reshape' }>

/**
 * The same graph with less work: factors and offsets folded into the products beside them, factors of experts' outputs into
 * their kernels, reshapes of reshapes made one, and operations left out that change nothing or whose values nothing reads.
 */
export function simplified(graph: Graph): Graph {
  return withoutIdleReshapes(withoutUnread(joinReshapes(foldScales(foldAffine(withoutUnread(graph))))))
}

/** Elements keep their order in a reshape: only the last of several counts. */
function joinReshapes(graph: Graph): Graph {
  const reshapes = new Map<Value, Reshape>()
  const nodes = graph.nodes.map((node): GraphNode => {
    const { operation } = node
    if (operation.kind !== 'reshape') return node
    const joined = { ...operation, x: reshapes.get(operation.x)?.x ?? operation.x }
    for (const output of node.outputs) reshapes.set(output, joined)
    return { ...node, operation: joined }
  })
  return { ...graph, nodes }
}

/** A reshape to the shape that there is goes, where nothing else reads what it reads: that is named as the reshape was. */
function withoutIdleReshapes(graph: Graph): Graph {
  const readers = readersOf(graph)
  const namedAs = new Map<Value, Value>()
  const nodes = graph.nodes.filter(({ operation, outputs }) => {
    if (operation.kind !== 'reshape' || operation.computed) return true
    const { x, shape } = operation
    const isIdle = shape.length === x.shape.length && shape.every((side, axis) => side === x.shape[axis])
    if (!isIdle || readers.get(x)?.length !== 1 || graph.inputs.some(({ value }) => value === x)) return true
    namedAs.set(x, outputs[0] as Value)
    return false
  })
  const renamed = (value: Value): Value => namedAs.get(value) ?? value
  return { ...graph, nodes: nodes.map(node => ({ ...node, outputs: node.outputs.map(renamed) })) }
}

/** Readers come after what they read, so that one pass from the end sees every reader first. */
function withoutUnread(graph: Graph): Graph {
  const read = new Set(graph.outputs.map(({ value }) => value))
  const nodes = graph.nodes.toReversed().filter(({ operation, outputs }) => {
    if (!outputs.some(output => read.has(output))) return false
    for (const value of valuesRead(operation)) read.add(value)
    return true
  })
  return { ...graph, nodes: nodes.toReversed() }
}
