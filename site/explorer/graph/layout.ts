import { Graph, layout } from '@dagrejs/dagre'
import type { BlockGraph } from './blocks.js'

/** Where a box stands, in pixels: its middle and its size. */
export interface PlacedBox {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** A network, laid out from top to bottom. */
export interface Layout {
  readonly width: number
  readonly height: number
  readonly boxes: readonly PlacedBox[]
  /** Of each edge, the points that its line passes. */
  readonly lines: readonly (readonly { readonly x: number; readonly y: number }[])[]
}

/**
 * Lays out the boxes of a network in rows, what feeds a box above it (Sugiyama's method, by dagre).
 *
 * @param sizes width and height of each box
 */
export function layOut({ blocks, edges }: BlockGraph, sizes: readonly (readonly [number, number])[]): Layout {
  const graph = new Graph()
  graph.setGraph({ rankdir: 'TB', nodesep: 28, ranksep: 30, edgesep: 16, marginx: 12, marginy: 12 })
  graph.setDefaultEdgeLabel(() => ({}))
  for (const [i] of blocks.entries()) {
    const [width, height] = sizes[i] ?? [0, 0]
    graph.setNode(String(i), { width, height })
  }
  for (const [from, to] of edges) graph.setEdge(String(from), String(to))
  layout(graph)
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number }
  return {
    width,
    height,
    boxes: blocks.map((_, i) => graph.node(String(i)) as PlacedBox),
    lines: edges.map(
      ([from, to]) => (graph.edge(String(from), String(to)) as { points: { x: number; y: number }[] }).points,
    ),
  }
}
