import type {
  ConvolutionExpert,
  ConvolutionExpertOptions,
} from '../../layers/moe/experts/convolution-expert.js'
import type { Expert } from '../../layers/moe/experts/expert.js'
import type { NeuronExpert } from '../../layers/moe/experts/neuron-expert.js'
import { gateFactor, gateKind } from '../../layers/moe/gates.js'
import type { PatchGate } from '../../layers/moe/patch-gate.js'
import type { PatchMoE } from '../../layers/moe/patch-moe.js'
import { type PatchGrid, patchGrid, type WindowTable, windowTable } from '../../layers/moe/patches.js'
import type { RoutingRule } from '../../layers/moe/routing.js'
import type { TwoLayerExperts } from '../../layers/moe/two-layer-experts.js'
import { type Constant, type Count, type Operand, UnsupportedModelError, type Value } from './graph.js'
import { floats, type GraphBuilder, number } from './graph-builder.js'
import { normalization, withActivation } from './layer-lowerings.js'
import type { ExportedLayer, Lowering } from './lowering.js'

/** Numbers of the patches that are kept, and what multiplies them: (B,K,L). */
interface ChosenPatches {
  readonly indices: Value
  readonly gates: Value
  /** L. */
  readonly count: Count
}

/**
 * A PatchMoE as it computes: scores, the L best patches of each expert, their windows gathered, convolved, weighed
 * and put back; work stays proportional to L/N.
 */
const patchMoE: Lowering = (exported, [x], build) => {
  const layer = exported.layer as PatchMoE
  const map = x as Value
  const chosen = choose(build, map, exported.weight('router'), layer, layer.grid)
  const windows = dispatch(build, map, chosen, windowTable(layer.grid, layer.experts.reach))
  const outputs = expertLowering(layer.experts)(exported, layer.experts, build, windows) // (B, K, L h w, F)
  return putBack(build, weigh(build, outputs, chosen, layer), chosen, layer)
}

/** Writes what experts do with their windows: (B, K, P, F) of their outputs. */
type ExpertLowering = (
  exported: ExportedLayer,
  experts: Expert,
  build: GraphBuilder,
  windows: Dispatched,
) => Value

/** By the kind of experts. */
const expertLowerings: Readonly<Record<string, ExpertLowering>> = {
  convolution: (exported, experts, build, windows) => {
    const { options, size } = experts as ConvolutionExpert
    const kernel = exported.weight('kernel')
    // A 1x1 kernel takes pixels one by one, whatever window they lie in.
    const pixels = isPointwise(options) ? pixelRows(build, windows) : windows
    const active = preActivate(exported, options, build, pixels)
    const convolved = convolve(kernel, options, build, active, windows.count)
    const bias = exported.optionalWeight('bias')
    const shifted = bias
      ? build.binary('add', convolved, floats(bias.data, [options.numExperts, 1, size]))
      : convolved
    return withActivation(exported, build, shifted)
  },
  neurons: (exported, experts, build, { windows, count }) => {
    const { numExperts } = (experts as NeuronExpert).options
    const neurons = matrixPerExpert(exported.weight('kernel'), numExperts) // (K, hwC, m/K)
    const patches = build.reshape(windows, [null, numExperts, count, neurons.shape[1] as number])
    return build.unary(build.batchedProduct(patches, neurons), 'relu') // (B, K, L, m/K)
  },
}

function expertLowering(experts: Expert): ExpertLowering {
  const lowering = Object.hasOwn(expertLowerings, experts.kind) && expertLowerings[experts.kind]
  if (lowering) return lowering
  const known = Object.keys(expertLowerings).join(', ')
  throw new UnsupportedModelError(
    `exportGraph: experts must be of a kind that can be written (${known}), got ${experts.kind}`,
  )
}

/** Scores every patch and keeps the best of each expert. */
function choose(
  build: GraphBuilder,
  map: Value,
  router: Constant,
  rule: RoutingRule,
  grid: PatchGrid,
): ChosenPatches {
  const scored = build.convolution(map, router, { strides: grid.patch, exact: true }) // (B, H/h, W/w, K)
  const asComputed = build.channelRows(scored)
  // A patch whose score is NaN or infinite must not be left out silently: all of the expert's gates become NaN.
  const notFinite = build.notFinite(asComputed)
  const scores = build.binary('add', asComputed, notFinite)
  const count = build.patchesPerExpert ?? rule.patchesPerExpert
  const { values, indices } = build.top(scores, count)
  const { gates } = gateKind(rule.gate).forward<Value>(
    {
      kept: values,
      all: scores,
      ones: () => build.binary('add', notFinite, onesLike(build, values, count)),
    },
    {
      softmax: x => build.softmax(x),
      largest: x => build.top(x, count).values,
      times: (x, factor) => build.binary('mul', x, number(factor)),
    },
  )
  const factor = gateFactorOf(build, rule, count, grid.count)
  const scaled = factor === 1 ? gates : build.binary('mul', gates, operandOf(factor))
  build.routes.push({ layer: build.layer, indices, gates: scaled })
  return { indices, gates: scaled, count }
}

/** A number as an operand among floats. */
function operandOf(factor: Count): Operand {
  return typeof factor === 'number' ? number(factor) : factor
}

/** Ones in the shape of the kept scores, or in one that broadcasts to it. */
function onesLike(build: GraphBuilder, kept: Value, count: Count): Operand {
  return typeof count === 'number'
    ? floats(new Float32Array(count).fill(1), [1, 1, count])
    : build.clip(kept, 1, 1)
}

/** What gates are multiplied by; where L is computed, looked up in a table of all L unless it is the same for each. */
function gateFactorOf(
  build: GraphBuilder,
  { gate, gateScale }: RoutingRule,
  count: Count,
  patches: number,
): Count {
  if (typeof count === 'number') return gateFactor(gate, gateScale, count, patches)
  const factors = Array.from({ length: patches }, (_, i) => gateFactor(gate, gateScale, i + 1, patches))
  const [first = 1] = factors
  if (factors.every(factor => factor === first)) return first
  return build.gather(floats([Number.NaN, ...factors], [patches + 1]), count)
}

/** (B, K, L, window height, window width, C), zero outside the map; with `inside` where that can be. */
interface Dispatched {
  readonly windows: Value
  readonly inside?: Value
  /** L. */
  readonly count: Count
}

function dispatch(
  build: GraphBuilder,
  map: Value,
  { indices, count }: ChosenPatches,
  table: WindowTable,
): Dispatched {
  const channels = map.shape[3] as number
  const experts = indices.shape[1] as number
  const view = build.reshape(map, [null, table.rowsPerImage, table.unit * channels])
  const shape = [null, experts, count, ...table.window]
  const gathered = build.gatherByImage(view, windowRows(build, indices, table))
  const windows = build.reshape(gathered, [...shape, channels])
  if (!table.inside) return { windows, count }
  const known = floats(table.inside, [table.grid.count, table.rowsPerWindow])
  const mask = build.reshape(build.gather(known, indices), [...shape, 1])
  return { windows: build.binary('mul', windows, mask), inside: mask, count }
}

/** (B,K,L,R), or (B,K,L) where R is 1: rows of an image's map that the kept patches take. */
function windowRows(build: GraphBuilder, indices: Value, table: WindowTable): Value {
  // Where patches are rows, their numbers are those of the rows.
  if (table.rows.every((row, patch) => row === patch)) return indices
  return build.gather({ shape: [table.grid.count, table.rowsPerWindow], data: table.rows }, indices)
}

function preActivate(
  exported: ExportedLayer,
  layer: ConvolutionExpertOptions,
  build: GraphBuilder,
  { windows, inside }: Dispatched,
): Value {
  if (layer.preActivation === 'none') return windows
  if (layer.preActivation === 'relu') return build.unary(windows, 'relu')
  const weights = {
    gamma: exported.weight('gamma'),
    beta: exported.weight('beta'),
    mean: exported.weight('moving_mean'),
    variance: exported.weight('moving_variance'),
  }
  const { scale, shift } = normalization(weights, exported)
  const ones = windows.shape.slice(2, -1).map(() => 1)
  const shape = [layer.numExperts, ...ones, weights.mean.shape[1] as number]
  const scaled = build.binary('mul', windows, floats(scale.data, shape))
  const active = build.unary(build.binary('add', scaled, floats(shift.data, shape)), 'relu')
  return inside ? build.binary('mul', active, inside) : active
}

function isPointwise({ kernelSize }: ConvolutionExpertOptions): boolean {
  return kernelSize.every(side => side === 1)
}

/** (B, K, L h w, C). */
function pixelRows(build: GraphBuilder, { windows, inside, count }: Dispatched): Dispatched {
  const [, experts, , height, width, channels] = windows.shape as number[]
  const sides = [null, experts as number, times(build, count, (height as number) * (width as number))]
  return {
    windows: build.reshape(windows, [...sides, channels as number]),
    ...(inside && { inside: build.reshape(inside, [...sides, 1]) }),
    count,
  }
}

/** (B, K, L h w, F). */
function convolve(
  kernel: Constant,
  layer: ConvolutionExpertOptions,
  build: GraphBuilder,
  windows: Value,
  count: Count,
): Value {
  const { numExperts } = layer
  const own = layer.filters / numExperts
  if (isPointwise(layer)) return build.batchedProduct(windows, matrixPerExpert(kernel, numExperts))
  const padding = layer.border === 'halo' ? 'valid' : 'same'
  const outputs = build.expertConvolution(windows, kernel, padding, count)
  const [, , , height, width] = outputs.shape as number[]
  const pixels = times(build, count, (height as number) * (width as number))
  return build.reshape(outputs, [null, numExperts, pixels, own])
}

/** (...,K F) -> (K, all the rest, F). */
function matrixPerExpert({ data, shape }: Constant, experts: number): Constant {
  const columns = shape.at(-1) as number
  const [rows, own] = [data.length / columns, columns / experts]
  const sorted = new Float32Array(data.length)
  for (let i = 0; i < data.length; i++) {
    const [row, column] = [Math.floor(i / columns), i % columns]
    const expert = Math.floor(column / own)
    sorted[(expert * rows + row) * own + (column % own)] = data[i] as number
  }
  return { shape: [experts, rows, own], data: sorted }
}

/** Outputs (B, K, L h w, F) times the gate (B,K,L) of the patch that each row belongs to. */
function weigh(build: GraphBuilder, outputs: Value, { gates, count }: ChosenPatches, layer: PatchMoE): Value {
  const { numExperts, patchSize, placement } = layer
  const pixels = patchSize[0] * patchSize[1]
  if (pixels === 1) return build.binary('mul', outputs, build.reshape(gates, [null, numExperts, count, 1]))
  const patches = build.reshape(outputs, [null, numExperts, count, pixels, placement.size])
  return build.binary('mul', patches, build.reshape(gates, [null, numExperts, count, 1, 1]))
}

/** Puts the experts' outputs where their patches lie: (B,H,W,K F), zero elsewhere. */
function putBack(
  build: GraphBuilder,
  outputs: Value,
  { indices, count }: ChosenPatches,
  layer: PatchMoE,
): Value {
  const { numExperts, filters, grid, placement } = layer
  const { slots, slotOf, size } = placement
  const pixels = windowTable(grid, [0, 0], 1)
  const lookup = { shape: [grid.count, pixels.rowsPerWindow], data: pixels.rows.map(row => row * slots) }
  const within = build.gather(lookup, indices) // (B,K,L,hw)
  const rowsPerImage = pixels.rowsPerImage * slots
  const starts = build.reshape(build.batchStarts(indices, rowsPerImage), [null, 1, 1, 1])
  const experts = { shape: [numExperts, 1, 1], data: Int32Array.from(slotOf) }
  const rows = build.reshape(build.binary('add', build.binary('add', within, starts), experts), [null])
  const updates = build.reshape(outputs, [null, size])
  // Where every slot has its expert, in their order, experts' rows make up the map without gaps.
  const rowsPerExpert = times(build, count, pixels.rowsPerWindow)
  const areInOrder = slots === numExperts && slotOf.every((slot, expert) => slot === expert)
  const ofExperts = areInOrder ? { experts: numExperts, rowsPerExpert } : undefined
  const view = build.scatter(rows, updates, indices, rowsPerImage, ofExperts && { ofExperts })
  return build.reshape(view, [null, ...grid.map, filters])
}

function times(build: GraphBuilder, count: Count, factor: number): Count {
  if (typeof count === 'number') return count * factor
  return factor === 1 ? count : build.binary('mul', count, { shape: [], data: Int32Array.of(factor) })
}

/** The masking gate of the published code: the gates in their places, times the map. */
const patchGate: Lowering = (exported, [x], build) => {
  const layer = exported.layer as PatchGate
  const map = x as Value
  const [, height, width, channels] = map.shape as [null, number, number, number]
  const grid = patchGrid([height, width], layer.patchSize, 'exportGraph')
  const { cells, patch, count } = grid
  const { indices, gates } = choose(build, map, exported.weight('router'), layer, grid) // (B,1,L)
  const starts = build.reshape(build.batchStarts(indices, count), [null, 1, 1])
  const rows = build.reshape(build.binary('add', indices, starts), [null])
  const strengths = build.reshape(gates, [null, 1])
  const mask = build.scatter(rows, strengths, indices, count)
  const bands = build.reshape(map, [null, patch[0], cells[1], patch[1] * channels])
  const weighed = build.binary('mul', bands, build.reshape(mask, [null, 1, cells[1], 1]))
  return build.reshape(weighed, map.shape)
}

/** Eq. (1): kept patches times the neurons of each expert, ReLU, gates, the mean over patches, the head. */
const twoLayerExperts: Lowering = (exported, [x], build) => {
  const layer = exported.layer as TwoLayerExperts
  const map = x as Value
  const { numExperts, patchesPerExpert, hiddenUnits, grid } = layer
  const rule = { patchesPerExpert, gate: layer.gate, gateScale: 'none' } as const
  const chosen = choose(build, map, exported.weight('router'), rule, grid)
  const windows = dispatch(build, map, chosen, windowTable(grid, layer.experts.reach))
  const active = expertLowering(layer.experts)(exported, layer.experts, build, windows) // (B, K, L, m/K)
  const { gates, count } = chosen
  const weighed = build.binary('mul', active, build.reshape(gates, [null, numExperts, count, 1]))
  const hidden = build.reshape(build.reduce(weighed, 'sum', [2]), [null, hiddenUnits])
  const divisor = layer.normalizer === 'selected' ? count : grid.count
  const mean = build.binary(
    'div',
    hidden,
    typeof divisor === 'number' ? number(divisor) : build.toFloat(divisor),
  )
  return build.dense(mean, exported.weight('head'))
}

/** The layers of this library that choose patches, by class name. */
export const mixtureLowerings: Readonly<Record<string, Lowering>> = {
  PatchGate: patchGate,
  PatchMoE: patchMoE,
  TwoLayerExperts: twoLayerExperts,
}
