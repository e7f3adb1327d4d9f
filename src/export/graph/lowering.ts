import type * as tfl from '@tensorflow/tfjs-layers'
import type { Constant, Dimension, Value } from './graph.js'
import type { GraphBuilder } from './graph-builder.js'

/** A layer as the export sees it: what it is configured to do, and its weights as numbers. */
export interface ExportedLayer {
  readonly layer: tfl.layers.Layer
  readonly config: Readonly<Record<string, unknown>>
  /** Shape of its output where it is applied. */
  readonly outputShape: readonly Dimension[]
  /**
   * A weight by the end of its name: `kernel`.
   *
   * @throws Error when the layer has none
   */
  weight(name: string): Constant
  /** The same; undefined when the layer has none. */
  optionalWeight(name: string): Constant | undefined
  /** Writes a network that the layer holds, applied to a value, and returns its one output. */
  network(network: tfl.LayersModel, name: string, x: Value): Value
  /**
   * Refuses to export the layer.
   *
   * @param got what of the layer cannot be exported
   * @throws Error naming the layer and its position
   */
  refuse(got: string): never
}

/** Writes one kind of layer as operations of a graph. */
export type Lowering = (layer: ExportedLayer, inputs: readonly Value[], build: GraphBuilder) => Value
