import * as tfl from '@tensorflow/tfjs-layers'
import { isNetworkHolder } from '../layers/layer-paths.js'
import type { ModelCost } from '../models/cost.js'

/** The layers of a network and what feeds them; nested models are entered. */
export interface NetworkGraph {
  /** In an order in which each stands after those that feed it. */
  readonly nodes: readonly LayerNode[]
  /** Numbers of nodes: from, to. */
  readonly edges: readonly (readonly [from: number, to: number])[]
}

/** One application of a layer. */
export interface LayerNode {
  /** The layer's name, after those of the models it is nested in. */
  readonly path: string
  readonly className: string
  /** Of its output, without the batch; null where a side is not fixed. */
  readonly shape: readonly (number | null)[]
  /** Numbers in its weights. */
  readonly parameters: number
  /** Of one image, forward. */
  readonly multiplyAdds: number
  /** For a layer that chooses patches or experts: what it does, in a few words. */
  readonly mixture?: string
  /** Names of the networks that the layer holds, and how many layers each has. */
  readonly networks?: readonly { readonly name: string; readonly layers: number }[]
}

/**
 * The graph of a network.
 *
 * @param cost as `modelCost` counts it
 * @param mixtures what layers do that choose patches or experts, by their paths
 */
export function networkGraph(
  model: tfl.LayersModel,
  cost: ModelCost,
  mixtures: ReadonlyMap<string, string>,
): NetworkGraph {
  const graph = new GraphBuilder(cost, mixtures)
  const inputs = model.inputs.map(input => graph.add(input.sourceLayer, input, [], ''))
  graph.enter(model, inputs, '')
  return { nodes: graph.nodes, edges: graph.edges }
}

class GraphBuilder {
  readonly nodes: LayerNode[] = []
  readonly edges: [number, number][] = []
  private readonly costs: ReadonlyMap<string, { readonly parameters: number; readonly multiplyAdds: number }>
  private readonly mixtures: ReadonlyMap<string, string>

  constructor({ layers }: ModelCost, mixtures: ReadonlyMap<string, string>) {
    this.costs = new Map(
      layers.map(({ name, parameters, multiplyAdds }) => [
        name,
        { parameters, multiplyAdds: multiplyAdds.forward },
      ]),
    )
    this.mixtures = mixtures
  }

  /**
   * Adds the layers between a model's inputs and outputs.
   *
   * @param inputs the nodes that feed it
   * @returns the nodes of its outputs
   */
  enter(model: tfl.LayersModel, inputs: readonly number[], prefix: string): number[] {
    const known = new Map<tfl.SymbolicTensor, number>(
      model.inputs.map((input, i) => [input, inputs[i] as number]),
    )
    const applied = new Map<string, readonly number[]>()
    const visit = (tensor: tfl.SymbolicTensor): number => {
      const node = known.get(tensor)
      if (node !== undefined) return node
      const { sourceLayer: layer, nodeIndex } = tensor
      const key = `${layer.id} ${nodeIndex}`
      const outputs = applied.get(key) ?? this.apply(layer, tensor, tensor.inputs.map(visit), prefix)
      applied.set(key, outputs)
      const output = outputs[tensor.tensorIndex] ?? (outputs[0] as number)
      known.set(tensor, output)
      return output
    }
    return model.outputs.map(visit)
  }

  /** Adds a layer's application as one node. */
  add(
    layer: tfl.layers.Layer,
    output: tfl.SymbolicTensor,
    inputs: readonly number[],
    prefix: string,
  ): number {
    const path = prefix + layer.name
    const mixture = this.mixtures.get(path)
    const networks = isNetworkHolder(layer)
      ? [...layer.networks].map(([name, network]) => ({ name, layers: network.layers.length }))
      : []
    const node = this.nodes.length
    this.nodes.push({
      path,
      className: layer.getClassName(),
      shape: output.shape.slice(1),
      ...(this.costs.get(path) ?? { parameters: 0, multiplyAdds: 0 }),
      ...(mixture !== undefined && { mixture }),
      ...(networks.length > 0 && { networks }),
    })
    for (const input of new Set(inputs)) this.edges.push([input, node])
    return node
  }

  private apply(
    layer: tfl.layers.Layer,
    output: tfl.SymbolicTensor,
    inputs: readonly number[],
    prefix: string,
  ): readonly number[] {
    if (layer instanceof tfl.LayersModel) return this.enter(layer, inputs, `${prefix}${layer.name}/`)
    return [this.add(layer, output, inputs, prefix)]
  }
}
