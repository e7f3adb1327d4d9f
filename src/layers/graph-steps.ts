import * as tfl from '@tensorflow/tfjs-layers'
import { isNestedModel } from './layer-paths.js'

/** One call of a layer in the order of computation; tensors are named by the ids of their symbolic tensors. */
export interface GraphStep {
  readonly layer: tfl.layers.Layer
  readonly inputs: readonly number[]
  readonly output: tfl.SymbolicTensor
}

/** Layers that create masks, which only tfjs's own execution passes on. */
const MASKING = new Set(['Masking', 'Embedding'])

/** Where steps begin, and whether nested models are steps of their own. */
export interface GraphStepsOptions {
  /** Where to begin instead of the input: a tensor of the model, or of a model inside it, through which everything passes. */
  readonly from?: tfl.SymbolicTensor | undefined
  /** Whether the layers of nested models are listed in their place, where such a model is called once; false unless given. */
  readonly inline?: boolean
}

/**
 * The layers of a model of one input, in an order in which they can run: each tensor before what reads it. A nested model counts as one
 * layer unless it is inlined; then its last step makes the tensor that the model around it reads.
 *
 * @returns those up to the first output; undefined for models of several inputs, or with layers of several outputs, with call
 *   arguments, or with masks
 */
export function graphSteps(
  model: tfl.LayersModel,
  { from, inline = false }: GraphStepsOptions = {},
): readonly GraphStep[] | undefined {
  // A sequential model knows its layers' penalties only once it is built; tfjs would build it at its first use.
  if (model instanceof tfl.Sequential && !model.built) model.build()
  const [input, output] = [from ?? model.inputs[0], model.outputs[0]]
  if (!input || !output || model.inputs.length !== 1) return undefined
  // A nested model whose layers are not covered may still be one step.
  for (const isInlined of inline ? [true, false] : [false]) {
    const walk = new GraphWalk(input, isInlined)
    if (walk.visit(output)) return walk.steps
  }
  return undefined
}

/** Keras writes `training` where a network was called with it; tfjs passes on what the model itself is called with. */
function isHeeded(callArgument: string): boolean {
  return callArgument !== 'training'
}

/** A walk from an output back to where steps begin. */
class GraphWalk {
  readonly steps: GraphStep[] = []
  private readonly reached: Set<number>
  /** The tensors that the inputs of inlined models stand for, by their ids. */
  private readonly outer = new Map<number, tfl.SymbolicTensor>()
  private readonly inlined = new Set<tfl.layers.Layer>()
  private readonly inline: boolean

  constructor(begin: tfl.SymbolicTensor, inline: boolean) {
    this.reached = new Set([begin.id])
    this.inline = inline
  }

  /** @returns whether everything on the way to a tensor is covered */
  visit(tensor: tfl.SymbolicTensor): boolean {
    if (this.reached.has(tensor.id)) return true
    const outer = this.outer.get(tensor.id)
    if (outer) return this.visit(outer)
    const layer = tensor.sourceLayer
    const node = layer.inboundNodes[tensor.nodeIndex]
    if (!node || node.inputTensors.length === 0 || node.outputTensors.length !== 1) return false
    if (Object.keys(node.callArgs ?? {}).some(isHeeded) || MASKING.has(layer.getClassName())) return false
    if (this.inline && isNestedModel(layer) && !this.inlined.has(layer)) {
      return this.visitInside(layer, tensor, node.inputTensors)
    }
    if (!node.inputTensors.every(input => this.visit(input))) return false
    this.reached.add(tensor.id)
    this.steps.push({ layer, inputs: node.inputTensors.map(({ id }) => this.idOf(id)), output: tensor })
    return true
  }

  private visitInside(
    nested: tfl.LayersModel,
    tensor: tfl.SymbolicTensor,
    inputs: readonly tfl.SymbolicTensor[],
  ): boolean {
    const [input, output, read] = [nested.inputs[0], nested.outputs[0], inputs[0]]
    if (!input || !output || !read || nested.inputs.length !== 1 || nested.outputs.length !== 1) return false
    this.inlined.add(nested)
    this.outer.set(input.id, read)
    if (!this.visit(output)) return false
    const last = this.steps.findIndex(step => step.output === output)
    // A model that gives its input back, or a step that begins at its output.
    if (last < 0) return false
    this.steps[last] = { ...(this.steps[last] as GraphStep), output: tensor }
    this.reached.add(tensor.id)
    return true
  }

  private idOf(id: number): number {
    const outer = this.outer.get(id)
    return outer ? this.idOf(outer.id) : id
  }
}
