import { describe, expect, test } from 'vitest'
import { blockGraph, mainLayer } from '../../site/explorer/graph/blocks.js'
import { layOut } from '../../site/explorer/graph/layout.js'
import type { LayerNode, NetworkGraph } from '../../src/explore/network-graph.js'

const node = (path: string, className: string, more: Partial<LayerNode> = {}): LayerNode => {
  const parameters = /Conv|Dense|MoE/.test(className) ? 9 : 0
  return { path, className, shape: [4, 4, 8], parameters, multiplyAdds: 0, ...more }
}

/** An input, residual blocks of two convolutions with ReLU each, a mixture and a dense layer. */
function residual(blocks: number): NetworkGraph {
  const nodes = [node('input', 'InputLayer')]
  const edges: [number, number][] = []
  const add = (layer: LayerNode, from: readonly number[]) => {
    for (const input of from) edges.push([input, nodes.length])
    return nodes.push(layer) - 1
  }
  let last = 0
  for (let block = 0; block < blocks; block++) {
    const first = add(node(`${block}a`, 'Conv2D'), [last])
    const active = add(node(`${block}r`, 'ReLU'), [first])
    const second = add(node(`${block}b`, 'Conv2D'), [active])
    last = add(node(`${block}s`, 'Add'), [second, last])
  }
  last = add(node('mixture', 'PatchMoE', { mixture: '2 experts' }), [last])
  add(node('logits', 'Dense'), [last])
  return { nodes, edges }
}

const names = (graph: NetworkGraph, open?: ReadonlySet<string>) =>
  blockGraph(graph, open).blocks.map(
    block => `${block.times > 1 ? `${block.times}x ` : ''}${mainLayer(block).path}`,
  )

describe('the boxes of a network', () => {
  test('hold small layers in the box of the layer before them', () => {
    expect(names(residual(1))).toEqual(['input', '0a', '0b', '0s', 'mixture', 'logits'])
    expect(blockGraph(residual(1)).edges).toEqual([
      [0, 1],
      [1, 2],
      [2, 3],
      [0, 3],
      [3, 4],
      [4, 5],
    ])
  })

  test('of small layers before a layer are its own', () => {
    const nodes = [
      node('in', 'InputLayer'),
      node('a', 'Add'),
      node('n', 'BatchNormalization'),
      node('c', 'Conv2D'),
      node('o', 'Add'),
    ]
    const edges = [
      [0, 1],
      [1, 2],
      [2, 3],
      [3, 4],
      [1, 4],
    ] as const
    const { blocks } = blockGraph({ nodes, edges })
    expect(blocks.map(({ layers }) => layers.map(({ path }) => path))).toEqual([
      ['in'],
      ['a'],
      ['n', 'c'],
      ['o'],
    ])
    expect(blocks.map(block => mainLayer(block).path)).toEqual(['in', 'a', 'c', 'o'])
  })

  test('are one for repeated blocks of a large network, never for the mixture, and are opened', () => {
    const graph = residual(12)
    expect(names(graph)).toEqual(['input', '12x 0a', 'mixture', 'logits'])
    expect(blockGraph(graph).edges).toEqual([
      [0, 1],
      [1, 2],
      [2, 3],
    ])
    const opened = names(graph, new Set(['12x 0a']))
    expect(opened).toHaveLength(3 + 36)
    expect(opened.slice(0, 5)).toEqual(['input', '0a', '0b', '0s', '1a'])
  })

  test('are laid out below what feeds them', () => {
    const graph = blockGraph(residual(3))
    const { boxes, lines, width, height } = layOut(
      graph,
      graph.blocks.map(() => [100, 40] as const),
    )
    for (const [from, to] of graph.edges) expect(boxes[from]?.y).toBeLessThan(boxes[to]?.y as number)
    expect(lines.every(points => points.length >= 2)).toBe(true)
    for (const { x, y } of boxes) {
      expect(x).toBeGreaterThan(0)
      expect(x).toBeLessThan(width)
      expect(y).toBeLessThan(height)
    }
  })
})
