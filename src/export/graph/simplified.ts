import { foldAffine } from './fold-affine.js'
import { type Graph, type GraphNode, type Operation, type Value, valuesRead } from './graph.js'

type Reshape = Extract<Operation, { kind: 'reshape' }>

/**
 * The same graph with less work: factors and offsets folded into the products beside them, reshapes of reshapes made one,
 * and operations left out whose values nothing reads.
 */
export function simplified(graph: Graph): Graph {
  return withoutUnread(joinReshapes(foldAffine(withoutUnread(graph))))
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
