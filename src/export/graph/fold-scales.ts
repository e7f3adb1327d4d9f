import { type Constant, type Graph, type GraphNode, isConstant, type Operation, type Value } from './graph.js'
import { floats } from './graph-builder.js'
import { type Readers, readersOf } from './readers.js'

/**
 * Folds what multiplies the outputs of experts into their kernels: a factor for each of their channels (a trained BatchNorm),
 * and one number for all gates, where nothing else reads what lies between.
 */
export function foldScales(graph: Graph): Graph {
  const folding = new ScaleFolding(graph)
  for (const node of graph.nodes) folding.fold(node)
  return { ...graph, nodes: folding.nodes.filter(node => node !== undefined) }
}

class ScaleFolding {
  /** Undefined in the place of those that are folded away. */
  readonly nodes: (GraphNode | undefined)[]
  private readonly readers: Readers
  private readonly producers = new Map<Value, number>()

  constructor(graph: Graph) {
    this.nodes = [...graph.nodes]
    this.readers = readersOf(graph)
    for (const [at, { outputs }] of graph.nodes.entries())
      for (const output of outputs) this.producers.set(output, at)
  }

  fold({ operation, outputs }: GraphNode): void {
    if (operation.kind !== 'binary' || operation.function !== 'mul' || isConstant(operation.a)) return
    const { a, b } = operation
    if (isConstant(b)) {
      if (this.scale(a, b)) this.leaveOut(outputs[0] as Value, a)
      return
    }
    const gates = this.scaledGates(b)
    if (gates && this.scale(a, gates.factor)) this.leaveOut(gates.scaled, gates.unscaled)
  }

  /** Multiplies the kernels that a value comes from; false, and nothing is done, where that is not possible. */
  private scale(value: Value, factor: Constant): boolean {
    const at = this.onlyReadProducer(value)
    const operation = at === undefined ? undefined : this.nodes[at]?.operation
    const become = (changed: Operation): true => {
      this.nodes[at as number] = { ...(this.nodes[at as number] as GraphNode), operation: changed }
      return true
    }
    switch (operation?.kind) {
      case 'reshape':
        return this.scale(operation.x, factor)
      case 'binary': {
        const { a, b, function: name } = operation
        if (isConstant(a)) return false
        // Gates and masks are factors, too.
        if (name === 'mul') return this.scale(a, factor)
        if (name !== 'add' || !isConstant(b) || !fits(factor, b)) return false
        return this.scale(a, factor) && become({ ...operation, b: scaledMatrices(b, factor) })
      }
      case 'batched-product': {
        const { matrices } = operation
        if (!isConstant(matrices) || !fits(factor, matrices)) return false
        return become({ ...operation, matrices: scaledMatrices(matrices, factor) })
      }
      case 'expert-convolution': {
        const { kernel } = operation
        if (factor.shape.length > 0 && factor.data.length !== kernel.shape[3]) return false
        return become({ ...operation, kernel: scaledFilters(kernel, factor) })
      }
      default:
        return false
    }
  }

  /** The product of gates and one number that a value is, in whatever shape. */
  private scaledGates(
    value: Value,
  ): { readonly scaled: Value; readonly unscaled: Value; readonly factor: Constant } | undefined {
    const at = this.onlyReadProducer(value)
    const operation = at === undefined ? undefined : this.nodes[at]?.operation
    if (operation?.kind === 'reshape') return this.scaledGates(operation.x)
    if (operation?.kind !== 'binary' || operation.function !== 'mul') return undefined
    const { a, b } = operation
    if (isConstant(a) || !isConstant(b) || b.shape.length > 0) return undefined
    return this.onlyReadProducer(a) === undefined ? undefined : { scaled: value, unscaled: a, factor: b }
  }

  private onlyReadProducer(value: Value): number | undefined {
    return this.readers.get(value)?.length === 1 ? this.producers.get(value) : undefined
  }

  /** What yields the operand yields the product in its place. */
  private leaveOut(product: Value, operand: Value): void {
    const [at, producer] = [product, operand].map(value => this.producers.get(value) as number) as [
      number,
      number,
    ]
    const node = this.nodes[producer] as GraphNode
    const outputs = node.outputs.map(output => (output === operand ? product : output))
    this.nodes[producer] = { ...node, outputs }
    this.nodes[at] = undefined
    this.producers.set(product, producer)
  }
}

/** Whether a factor is one number, or (K,1,F) as matrices (K,...,F) are. */
function fits({ shape: factor }: Constant, { shape: matrices }: Constant): boolean {
  if (factor.length === 0) return true
  const sides = [factor, matrices].map(shape => [shape.length, shape[0], shape[2]].join())
  return factor[1] === 1 && sides[0] === sides[1]
}

/** (K,...,F), by (K,1,F) or by one number. */
function scaledMatrices(matrices: Constant, factor: Constant): Constant {
  const [experts, , own] = matrices.shape as [number, number, number]
  const size = matrices.data.length / experts
  return multiplied(matrices, factor, i => Math.floor(i / size) * own + (i % own))
}

/** (kh,kw,C,K F), by (K,1,F) or by one number. */
function scaledFilters(kernel: Constant, factor: Constant): Constant {
  const columns = kernel.shape[3] as number
  return multiplied(kernel, factor, i => i % columns)
}

function multiplied({ data, shape }: Constant, factor: Constant, channelOf: (i: number) => number): Constant {
  const isNumber = factor.shape.length === 0
  return floats(
    Float32Array.from(data, (value, i) => value * (factor.data[isNumber ? 0 : channelOf(i)] as number)),
    shape,
  )
}
