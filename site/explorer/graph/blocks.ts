import type { LayerNode, NetworkGraph } from '../../../src/explore/network-graph.js'

/** A part of a network that is drawn as one box. */
export interface Block {
  /** Unique in the network. */
  readonly id: string
  readonly layers: readonly LayerNode[]
  /** How many times what is drawn comes after itself; 1 for a box of its own. */
  readonly times: number
}

/** A network as boxes. */
export interface BlockGraph {
  readonly blocks: readonly Block[]
  readonly edges: readonly (readonly [from: number, to: number])[]
}

/** Layers that are drawn in the box of what they follow, or of what follows them. */
const SMALL = new Set([
  ...[
    'Activation',
    'ReLU',
    'LeakyReLU',
    'PReLU',
    'ELU',
    'Softmax',
    'BatchNormalization',
    'LayerNormalization',
  ],
  ...['Dropout', 'SpatialDropout2D', 'GaussianNoise', 'GaussianDropout', 'ZeroPadding2D', 'InputScaling'],
  ...['Rescaling', 'Normalization', 'Flatten', 'Reshape', 'Permute'],
])

/** From how many boxes on repeated parts are drawn once. */
const MOST_BOXES = 24
/** Longest part, in stretches between two places that all paths pass, that is looked for as repeated. */
const LONGEST_PERIOD = 3

/**
 * The boxes of a network: small layers join the box of the layer that they belong to, and in a large network parts that come
 * several times after each other are one box, unless there is a mixture in them.
 *
 * @param open the boxes of repeated parts that are drawn in full
 */
export function blockGraph(graph: NetworkGraph, open: ReadonlySet<string> = new Set()): BlockGraph {
  const boxes = joinedLayers(graph)
  return boxes.blocks.length <= MOST_BOXES ? boxes : foldedRepeats(boxes, open)
}

/** The main layer of a box: the first that is not small, or the first. */
export function mainLayer({ layers }: Block): LayerNode {
  return (
    layers.find(({ mixture }) => mixture !== undefined) ?? layers.find(isMain) ?? (layers[0] as LayerNode)
  )
}

function isMain({ className, mixture, parameters }: LayerNode): boolean {
  return (
    mixture !== undefined ||
    !SMALL.has(className) ||
    (parameters > 0 && !/Normalization|PReLU/.test(className))
  )
}

function joinedLayers({ nodes, edges }: NetworkGraph): BlockGraph {
  const degrees = { out: count(nodes.length, edges, 0), in: count(nodes.length, edges, 1) }
  const before = new Map(edges.map(([from, to]) => [to, from]))
  const members: LayerNode[][] = []
  const boxOf: number[] = []
  for (const [i, node] of nodes.entries()) {
    const from = before.get(i)
    const box = from === undefined ? undefined : boxOf[from]
    const isAlone = from !== undefined && degrees.out[from] === 1 && degrees.in[i] === 1
    const layers = box === undefined ? undefined : members[box]
    const joins = isAlone && layers && (!isMain(node) || !layers.some(isMain))
    if (joins && layers && box !== undefined) {
      layers.push(node)
      boxOf.push(box)
    } else {
      boxOf.push(members.length)
      members.push([node])
    }
  }
  return {
    blocks: members.map(layers => ({ id: layers[0]?.path ?? '', layers, times: 1 })),
    edges: mapped(edges, boxOf),
  }
}

function count(length: number, edges: NetworkGraph['edges'], end: 0 | 1): number[] {
  const counts = new Array<number>(length).fill(0)
  for (const edge of edges) counts[edge[end]] = (counts[edge[end]] ?? 0) + 1
  return counts
}

/** Edges between groups, each once, without those within one. */
function mapped(edges: BlockGraph['edges'], groupOf: readonly number[]): (readonly [number, number])[] {
  const unique = new Map<string, readonly [number, number]>()
  for (const [a, b] of edges) {
    const [from, to] = [groupOf[a] as number, groupOf[b] as number]
    if (from !== to) unique.set(`${from} ${to}`, [from, to])
  }
  return [...unique.values()]
}

/** A stretch of boxes up to one that all paths pass: numbers of boxes, the last of which is that one. */
interface Stretch {
  readonly members: readonly number[]
  /** The same for stretches of the same layers, connected alike. */
  readonly kind: string
  readonly hasMixture: boolean
}

function foldedRepeats({ blocks, edges }: BlockGraph, open: ReadonlySet<string>): BlockGraph {
  const stretches = stretchesOf({ blocks, edges })
  const groupOf = new Array<number>(blocks.length)
  const made: Block[] = []
  for (let first = 0; first < stretches.length; ) {
    const { period, times } = repeatAt(stretches, first)
    const members = stretches.slice(first, first + period * times).flatMap(stretch => stretch.members)
    const id = `${times}x ${blocks[members[0] as number]?.id}`
    if (times > 1 && !open.has(id)) {
      for (const member of members) groupOf[member] = made.length
      made.push({ id, layers: members.flatMap(member => blocks[member]?.layers ?? []), times })
    } else {
      for (const member of members) {
        groupOf[member] = made.length
        made.push(blocks[member] as Block)
      }
    }
    first += period * times
  }
  return { blocks: made, edges: mapped(edges, groupOf) }
}

function stretchesOf({ blocks, edges }: BlockGraph): Stretch[] {
  // How far the edges reach that begin before a box.
  const farthest = blocks.map((_, i) => i)
  for (const [from, to] of edges) farthest[from] = Math.max(farthest[from] ?? 0, to)
  const stretches: Stretch[] = []
  let members: number[] = []
  let reach = 0
  for (const [i] of blocks.entries()) {
    const isPassed = reach <= i
    reach = Math.max(reach, farthest[i] ?? i)
    members.push(i)
    if (!isPassed) continue
    stretches.push(stretchOf(members, { blocks, edges }))
    members = []
  }
  if (members.length > 0) stretches.push(stretchOf(members, { blocks, edges }))
  return stretches
}

function stretchOf(members: readonly number[], { blocks, edges }: BlockGraph): Stretch {
  const [first = 0] = members
  const layers = members.map(member => blocks[member]?.layers ?? [])
  const inside = edges
    .filter(([, to]) => members.includes(to))
    .map(([from, to]) => `${Math.max(-1, from - first)}>${to - first}`)
  const kind = `${layers.map(box => box.map(({ className }) => className).join('+')).join(' ')} | ${inside.sort().join(' ')}`
  return { members, kind, hasMixture: layers.flat().some(({ mixture }) => mixture !== undefined) }
}

/** The repeats of most boxes that begin at a stretch; one stretch once where there are none. */
function repeatAt(
  stretches: readonly Stretch[],
  first: number,
): { readonly period: number; readonly times: number } {
  let best = { period: 1, times: 1 }
  for (let period = 1; period <= LONGEST_PERIOD; period++) {
    const part = stretches.slice(first, first + period)
    if (part.length < period || part.some(({ hasMixture }) => hasMixture)) break
    let times = 1
    const isSame = (from: number) => part.every(({ kind }, i) => stretches[from + i]?.kind === kind)
    while (isSame(first + times * period)) times++
    if (times > 1 && period * times > best.period * best.times) best = { period, times }
  }
  return best
}
