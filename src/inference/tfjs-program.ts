import * as tf from '@tensorflow/tfjs-core'
import { type Constant, type Graph, type GraphNode, type Value, valuesRead } from '../export/graph/graph.js'
import { onlyRectifier, readersOf } from '../export/graph/readers.js'
import type { GraphProgram } from './graph-programs.js'
import { type Compute, isFusible, type Lifetime, prepared } from './operations.js'

/** One operation, and which values nothing reads after it. */
interface Step {
  readonly compute: Compute
  readonly outputs: readonly Value[]
  /** Values of which none may be empty for it to be computed; else its outputs are empty. */
  readonly reads: readonly Value[]
  readonly lastReads: readonly Value[]
}

/**
 * Prepares a graph for the current backend: its numbers are uploaded once, biases and ReLU are computed in the same pass
 * as the products before them, and every value is freed after its last reader.
 */
export function tfjsProgram(graph: Graph): GraphProgram {
  const { lifetime, end } = lifetimeOfTensors()
  const steps = stepsOf(graph, lifetime)
  const results = graph.outputs.map(({ value }) => value)
  return {
    run: inputs => {
      const values = new Map(graph.inputs.map(({ value }, i) => [value, inputs[i] as tf.Tensor]))
      return tf.tidy(() => runSteps(steps, values, results))
    },
    dispose: end,
  }
}

function lifetimeOfTensors(): { readonly lifetime: Lifetime; end(): void } {
  const constants = new Map<Constant, tf.Tensor>()
  const endings: (() => void)[] = []
  const upload = (constant: Constant): tf.Tensor => {
    const before = constants.get(constant)
    if (before) return before
    const type = constant.data instanceof Int32Array ? 'int32' : 'float32'
    const tensor = tf.keep(tf.tensor(constant.data, [...constant.shape], type))
    constants.set(constant, tensor)
    return tensor
  }
  return {
    lifetime: { upload, atEnd: dispose => void endings.push(dispose) },
    end() {
      tf.dispose([...constants.values()])
      for (const dispose of endings) dispose()
    },
  }
}

function runSteps(
  steps: readonly Step[],
  values: Map<Value, tf.Tensor>,
  results: readonly Value[],
): tf.Tensor[] {
  const tensorOf = (value: Value) => values.get(value) as tf.Tensor
  for (const { compute, outputs, reads, lastReads } of steps) {
    const computed = reads.some(value => tensorOf(value).size === 0)
      ? outputs.map(emptyTensor)
      : tf.tidy(() => compute(tensorOf))
    const tensors = Array.isArray(computed) ? computed : [computed]
    for (const [i, output] of outputs.entries()) values.set(output, tensors[i] as tf.Tensor)
    for (const value of lastReads) tensorOf(value).dispose()
  }
  // An input that is an output as well must not be the caller's own tensor.
  return results.map(value => tf.clone(tensorOf(value)))
}

/** What an operation gives for no samples, as those of an expert that none chose: not every backend computes it. */
function emptyTensor({ shape, type }: Value): tf.Tensor {
  return tf.zeros(
    shape.map(side => side ?? 0),
    type === 'float' ? 'float32' : 'int32',
  )
}

interface PreparedStep {
  readonly compute: Compute
  readonly outputs: readonly Value[]
  readonly reads: readonly Value[]
  readonly needed: readonly Value[]
}

function stepsOf(graph: Graph, lifetime: Lifetime): Step[] {
  const readers = readersOf(graph)
  const steps: PreparedStep[] = []
  const fused = new Set<GraphNode>()
  for (const node of graph.nodes) {
    if (fused.has(node)) continue
    const rectifier = isFusible(node.operation) ? onlyRectifier(node.outputs[0] as Value, readers) : undefined
    if (rectifier) fused.add(rectifier)
    steps.push({
      compute: prepared(node.operation, lifetime, rectifier && 'relu'),
      outputs: (rectifier ?? node).outputs,
      reads: valuesRead(node.operation),
      // Where nothing is put back, the rest still are zeros.
      needed: node.operation.kind === 'scatter' ? [] : valuesRead(node.operation),
    })
  }
  return withLastReads(steps, graph)
}

function withLastReads(steps: readonly PreparedStep[], { inputs, outputs }: Graph): Step[] {
  const stay = new Set([...inputs, ...outputs].map(({ value }) => value))
  return steps
    .toReversed()
    .map(({ compute, outputs: written, reads, needed }) => {
      const lastReads = [...new Set(reads)].filter(value => !stay.has(value))
      for (const value of reads) stay.add(value)
      return { compute, outputs: written, reads: needed, lastReads }
    })
    .toReversed()
}
