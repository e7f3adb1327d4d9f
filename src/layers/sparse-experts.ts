import * as tf from '@tensorflow/tfjs-core'
import type { Size2D } from '../shapes.js'
import type { ActivationFunction } from './activations.js'
import { combineGradient, combineOutputs, outputRows } from './combine.js'
import { type DispatchedWindows, dispatchGradient, dispatchPatches } from './dispatch.js'
import { type Border, expertConvolution, expertConvolutionGradient } from './experts.js'
import { handGradient } from './hand-gradient.js'
import { layerOps } from './ops.js'
import type { WindowTable } from './patches.js'
import {
  type ExpertMoments,
  type ExpertNorm,
  expertMoments,
  normRelu,
  normReluGradient,
  type PreActivation,
} from './pre-activation.js'
import {
  keptPatchesGradient,
  keptRouterGradient,
  type RoutingRule,
  type RoutingWithState,
  routePatches,
  routerScores,
  routerScoresGradient,
  scoreGradient,
} from './routing.js'

/** What a {@link sparseExperts} call does, settled when a layer is built. */
export interface SparseExpertsRule extends RoutingRule {
  readonly border: Border
  readonly preActivation: PreActivation
  /** Undefined where the activation is linear. */
  readonly activation: ActivationFunction | undefined
  /** BatchNorm's epsilon. */
  readonly epsilon: number
  /** The windows that experts see. */
  readonly windows: WindowTable
  /** The pixels of kept patches, one by one. */
  readonly pixels: WindowTable
}

/** The weights of a call; shapes as in `PatchMoE`. */
export interface SparseExpertsWeights {
  readonly router: tf.Tensor4D
  readonly kernel: tf.Tensor4D
  readonly bias?: tf.Tensor1D
  /** (K,C) each, for BatchNorm-ReLU experts. */
  readonly gamma?: tf.Tensor2D
  readonly beta?: tf.Tensor2D
}

/**
 * Where BatchNorm's statistics come from: the kept patches of this batch, which `onMoments` is then shown, or given
 * moving averages.
 */
export type MomentsSource =
  | { readonly onMoments: (moments: ExpertMoments) => void }
  | { readonly moving: ExpertMoments }

/** All that the backward pass needs, proportional to L/N in size, but for the map itself. */
interface Forward {
  readonly routing: RoutingWithState
  readonly dispatched: DispatchedWindows
  /** What the convolutions saw: windows after the pre-activation. */
  readonly active: tf.Tensor5D
  readonly norm: ExpertNorm | undefined
  /** The kernel sorted by expert, where the convolutions were products with it. */
  readonly filters: tf.Tensor3D | undefined
  /** (K,P,F) convolution and bias, before the activation. */
  readonly linear: tf.Tensor3D
  /** (K,P,F) after the activation, before the gate. */
  readonly outputs: tf.Tensor3D
  /** (K B L h w) int32, where the outputs lie. */
  readonly outputRows: tf.Tensor1D
}

/**
 * The patch-level mixture of experts as one operation with a gradient written by hand: route, gather the kept patches,
 * convolve them, weigh them, put them back. Forward and backward work and memory are proportional to L/N, apart from
 * the router's one pass over the map.
 *
 * @param x (B,H,W,C) float32
 * @returns (B,H,W,K F)
 */
export function sparseExperts(
  x: tf.Tensor4D,
  weights: SparseExpertsWeights,
  rule: SparseExpertsRule,
  moments: MomentsSource | undefined,
): tf.Tensor4D {
  return handGradient([x, ...presentWeights(weights)], () => {
    const forward = runForward(x, weights, rule, moments)
    const kept = packForward(forward)
    return {
      value: combineOutputs(gated(forward), forward.outputRows, mapShape(x, weights.kernel.shape[3])),
      saved: [x, ...kept.tensors],
      gradient: (dy, [map, ...saved]) =>
        runBackward(dy, map as tf.Tensor4D, weights, rule, kept.unpack(saved), moments),
    }
  })
}

function runForward(
  x: tf.Tensor4D,
  weights: SparseExpertsWeights,
  rule: SparseExpertsRule,
  source: MomentsSource | undefined,
): Forward {
  const routing = routePatches(routerScores(x, weights.router, rule.windows.grid), rule)
  const dispatched = dispatchPatches(x, routing.indices, rule.windows)
  const norm = expertNorm(dispatched.windows, weights, rule, source)
  const active = preActivate(dispatched, norm, rule)
  const { outputs, filters } = expertConvolution(active, weights.kernel, rule.border)
  const linear = weights.bias ? tf.add(outputs, biasPerExpert(weights.bias, routing)) : outputs
  return {
    routing,
    dispatched,
    active,
    norm,
    filters,
    linear: linear as tf.Tensor3D,
    outputs: rule.activation ? rule.activation.apply(linear as tf.Tensor3D) : (linear as tf.Tensor3D),
    outputRows: outputRows(routing.indices, rule.pixels, seesPixels(rule) ? dispatched.rows : undefined),
  }
}

function runBackward(
  dy: tf.Tensor4D,
  x: tf.Tensor4D,
  weights: SparseExpertsWeights,
  rule: SparseExpertsRule,
  forward: Forward,
  source: MomentsSource | undefined,
): tf.Tensor[] {
  const { routing, dispatched, norm, outputs } = forward
  const experts = routing.indices.shape[1]
  const { grid } = rule.windows
  const dGated = combineGradient(dy, forward.outputRows, experts)
  const dGates = gateGradient(dGated, outputs, routing)
  const dOutputs = tf.mul(dGated, gatesPerRow(routing, outputs)) as tf.Tensor3D
  const dLinear = activationGradient(dOutputs, forward, rule)
  const { dWindows: dActive, dKernel } = expertConvolutionGradient(
    dLinear,
    forward.active,
    weights.kernel,
    forward.filters,
    rule.border,
    grid.patch,
  )
  const pre = preActivationGradient(dActive, forward, rule, source !== undefined && !('moving' in source))
  const router = routerGradient(dGates, x, weights.router, rule, forward)
  const dWindows = router.dWindows ? tf.add(pre.dWindows, router.dWindows) : pre.dWindows
  const sparse = dispatchGradient(dWindows as tf.Tensor5D, dispatched.rows, x.shape, rule.windows)
  const gradients: tf.Tensor[] = [router.dx ? tf.add(sparse, router.dx) : sparse, router.dRouter, dKernel]
  if (weights.bias) gradients.push(tf.reshape(tf.sum(dLinear, 1), [-1]))
  if (norm) gradients.push(pre.dGamma as tf.Tensor, pre.dBeta as tf.Tensor)
  return gradients
}

/** (K,P,F) outputs times the gate of the patch that each row belongs to. */
function gated(forward: Forward): tf.Tensor3D {
  return tf.mul(forward.outputs, gatesPerRow(forward.routing, forward.outputs))
}

/** (K,P,1): the gates (B,K,L), repeated over the pixels of each patch. */
function gatesPerRow(routing: RoutingWithState, outputs: tf.Tensor3D): tf.Tensor3D {
  const [batch, experts, kept] = routing.gates.shape
  const pixels = outputs.shape[1] / (batch * kept)
  const sorted = tf.reshape(tf.transpose(routing.gates, [1, 0, 2]), [experts, batch * kept, 1]) as tf.Tensor3D
  if (pixels === 1) return sorted
  return tf.reshape(tf.tile(sorted, [1, 1, pixels]), [experts, -1, 1])
}

/** (B,K,L): dL/dG of a kept patch, summed over its pixels and channels. */
function gateGradient(dGated: tf.Tensor3D, outputs: tf.Tensor3D, routing: RoutingWithState): tf.Tensor3D {
  const [batch, experts, kept] = routing.gates.shape
  const products = tf.reshape(tf.mul(dGated, outputs), [experts, batch, kept, -1])
  return tf.transpose(tf.sum(products, 3), [1, 0, 2])
}

function activationGradient(dOutputs: tf.Tensor3D, forward: Forward, rule: SparseExpertsRule): tf.Tensor3D {
  return rule.activation ? rule.activation.gradient(dOutputs, forward.linear, forward.outputs) : dOutputs
}

function expertNorm(
  windows: tf.Tensor5D,
  weights: SparseExpertsWeights,
  rule: SparseExpertsRule,
  source: MomentsSource | undefined,
): ExpertNorm | undefined {
  const { gamma, beta } = weights
  if (!gamma || !beta || !source) return undefined
  if ('moving' in source) return { gamma, beta, epsilon: rule.epsilon, moments: source.moving }
  const moments = expertMoments(coreOf(windows, rule.windows))
  source.onMoments(moments)
  return { gamma, beta, epsilon: rule.epsilon, moments }
}

function preActivate(
  dispatched: DispatchedWindows,
  norm: ExpertNorm | undefined,
  rule: SparseExpertsRule,
): tf.Tensor5D {
  if (norm) return normRelu(dispatched.windows, norm, dispatched.inside)
  return rule.preActivation === 'relu' ? tf.relu(dispatched.windows) : dispatched.windows
}

function preActivationGradient(
  dActive: tf.Tensor5D,
  forward: Forward,
  rule: SparseExpertsRule,
  batchStatistics: boolean,
): { dWindows: tf.Tensor5D; dGamma?: tf.Tensor2D; dBeta?: tf.Tensor2D } {
  const { norm, active, dispatched } = forward
  const inside = dispatched.inside
  if (norm) {
    const [, kept] = dispatched.windows.shape
    const { grid } = rule.windows
    const statistics = batchStatistics
      ? { coreMask: inside && coreMask(rule.windows), coreCount: kept * grid.patch[0] * grid.patch[1] }
      : undefined
    const result = normReluGradient(dActive, active, dispatched.windows, norm, statistics)
    return inside ? { ...result, dWindows: tf.mul(result.dWindows, inside) } : result
  }
  const dWindows = rule.preActivation === 'relu' ? layerOps().reluGradient(dActive, active) : dActive
  return { dWindows: inside ? tf.mul(dWindows, inside) : dWindows }
}

/**
 * The router's part: kept patches only (eq. 26), and, where the gate normalises over all patches, the map as well.
 */
function routerGradient(
  dGates: tf.Tensor3D,
  x: tf.Tensor4D,
  router: tf.Tensor4D,
  rule: SparseExpertsRule,
  forward: Forward,
): { dRouter: tf.Tensor4D; dWindows?: tf.Tensor5D; dx?: tf.Tensor4D } {
  const gradient = scoreGradient(dGates, forward.routing, rule)
  if (!gradient) return { dRouter: tf.zerosLike(router) }
  const [experts, kept] = forward.dispatched.windows.shape
  const { grid } = rule.windows
  const core = coreOf(forward.dispatched.windows, rule.windows)
  const patches: tf.Tensor3D = tf.reshape(core, [experts, kept, -1])
  const dRouter = keptRouterGradient(gradient.kept, patches, router.shape)
  const dPatches = keptPatchesGradient(gradient.kept, router)
  const dWindows = padToWindow(tf.reshape(dPatches, core.shape), rule.windows)
  if (!gradient.all) return { dRouter, dWindows }
  const dense = routerScoresGradient(gradient.all, x, router, grid)
  return { dRouter: tf.add(dRouter, dense.dRouter), dWindows, dx: dense.dx }
}

/** Whether experts get their patches pixel by pixel, so that a window's rows are the rows of its pixels. */
function seesPixels({ windows }: SparseExpertsRule): boolean {
  return windows.unit === 1 && !windows.inside
}

/** The patch itself, without the neighbours around it. */
function coreOf(windows: tf.Tensor5D, table: WindowTable): tf.Tensor5D {
  if (!table.inside) return windows
  return tf.slice(windows, [0, 0, ...table.reach, 0], [-1, -1, ...table.grid.patch, -1])
}

/** The way back of {@link coreOf}. */
function padToWindow(core: tf.Tensor5D, table: WindowTable): tf.Tensor5D {
  if (!table.inside) return core
  const [vertical, horizontal] = table.reach
  return tf.pad(core, [
    [0, 0],
    [0, 0],
    [vertical, vertical],
    [horizontal, horizontal],
    [0, 0],
  ])
}

function coreMask(table: WindowTable): tf.Tensor5D {
  const [height, width]: Size2D = table.grid.patch
  return padToWindow(tf.ones([1, 1, height, width, 1]), table)
}

function biasPerExpert(bias: tf.Tensor1D, routing: RoutingWithState): tf.Tensor3D {
  return tf.reshape(bias, [routing.indices.shape[1], 1, -1])
}

function mapShape(x: tf.Tensor4D, filters: number): [number, number, number, number] {
  return [x.shape[0], x.shape[1], x.shape[2], filters]
}

function presentWeights(weights: SparseExpertsWeights): tf.Tensor[] {
  const { router, kernel, bias, gamma, beta } = weights
  return [router, kernel, bias, gamma, beta].filter(weight => weight !== undefined)
}

/**
 * Lays the tensors of a forward pass out for the tape, which keeps them until the backward pass has run, and back.
 */
function packForward(forward: Forward): {
  tensors: tf.Tensor[]
  unpack: (saved: tf.Tensor[]) => Forward
} {
  const tensors: tf.Tensor[] = []
  const place = <T extends tf.Tensor | undefined>(tensor: T): ((saved: tf.Tensor[]) => T) => {
    if (!tensor) return () => tensor
    const at = tensors.push(tensor) - 1
    return saved => saved[at] as T
  }
  const { routing, dispatched, norm } = forward
  const indices = place(routing.indices)
  const gates = place(routing.gates)
  const probabilities = place(routing.probabilities)
  const windows = place(dispatched.windows)
  const rows = place(dispatched.rows)
  const inside = place(dispatched.inside)
  const active = forward.active === dispatched.windows ? windows : place(forward.active)
  const mean = place(norm?.moments.mean)
  const variance = place(norm?.moments.variance)
  const filters = place(forward.filters)
  const linear = place(forward.linear)
  const outputs = forward.outputs === forward.linear ? linear : place(forward.outputs)
  const output = place(forward.outputRows)
  return {
    tensors,
    unpack: saved => ({
      routing: {
        indices: indices(saved),
        gates: gates(saved),
        ...defined('probabilities', probabilities(saved)),
      },
      dispatched: { windows: windows(saved), rows: rows(saved), ...defined('inside', inside(saved)) },
      active: active(saved),
      norm: norm && {
        ...norm,
        moments: { mean: mean(saved) as tf.Tensor2D, variance: variance(saved) as tf.Tensor2D },
      },
      filters: filters(saved),
      linear: linear(saved),
      outputs: outputs(saved),
      outputRows: output(saved),
    }),
  }
}

function defined<K extends string, V>(key: K, value: V | undefined): Partial<Record<K, V>> {
  return value === undefined ? {} : ({ [key]: value } as Partial<Record<K, V>>)
}
