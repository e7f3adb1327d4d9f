import { type Graph, type GraphNode, type Value, valuesRead } from './graph.js'

/** The nodes that read each value, once for each time they do; undefined stands for the caller, who reads the outputs. */
export type Readers = ReadonlyMap<Value, readonly (GraphNode | undefined)[]>

/** Finds who reads the values of a graph; a value that nobody reads has no entry. */
export function readersOf({ nodes, outputs }: Graph): Readers {
  const readers = new Map<Value, (GraphNode | undefined)[]>()
  const add = (value: Value, node?: GraphNode) => {
    const known = readers.get(value)
    if (known) known.push(node)
    else readers.set(value, [node])
  }
  for (const node of nodes) for (const value of valuesRead(node.operation)) add(value, node)
  for (const { value } of outputs) add(value)
  return readers
}

/** The ReLU that is the only reader of a value: what computes the value can then do both. */
export function onlyRectifier(value: Value, readers: Readers): GraphNode | undefined {
  const [only, ...others] = readers.get(value) ?? []
  const { operation } = only ?? {}
  const isRectifier = operation?.kind === 'unary' && operation.function === 'relu'
  return isRectifier && others.length === 0 ? only : undefined
}
