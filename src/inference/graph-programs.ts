import type * as tf from '@tensorflow/tfjs-core'
import type { Graph } from '../export/graph/graph.js'

/** A graph that is ready to be computed, as often as wanted. */
export interface GraphProgram {
  /**
   * Computes all outputs.
   *
   * @param inputs in the order of the graph's inputs, channels last, float32
   * @returns in the order of the graph's outputs; the caller disposes them
   */
  run(inputs: readonly tf.Tensor[]): tf.Tensor[]
  /** Frees the numbers of the graph. */
  dispose(): void
}

/** Prepares a graph for one backend; undefined where it is computed there as on any other. */
export type ProgramOfGraph = (graph: Graph) => Promise<GraphProgram | undefined>

const programs = new Map<string, ProgramOfGraph>()

/**
 * Lets a backend compute whole graphs in its own way, instead of tfjs's operations one by one.
 *
 * @param backend tfjs's name of the backend
 * @param program undefined takes a registered one away
 */
export function registerGraphProgram(backend: string, program: ProgramOfGraph | undefined): void {
  if (program) programs.set(backend, program)
  else programs.delete(backend)
}

/** Prepares a graph in the backend's own way, where it has one. */
export async function programOf(backend: string, graph: Graph): Promise<GraphProgram | undefined> {
  return programs.get(backend)?.(graph)
}
