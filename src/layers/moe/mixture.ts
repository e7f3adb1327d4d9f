import * as tf from '@tensorflow/tfjs-core'
import { isFixed } from '../fixed-inputs.js'
import { handGradient } from '../hand-gradient.js'
import type { Combination } from './combine.js'
import { type DispatchedWindows, dispatchGradient, dispatchPatches } from './dispatch.js'
import type { Expert, ExpertMode, ExpertPass, ExpertTensors } from './experts/expert.js'
import { coreOf, type WindowTable, withBorder } from './patches.js'
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

/** What a {@link mixture} does, settled when a layer is built. */
export interface MixtureParts<Output extends tf.Tensor> {
  readonly routing: RoutingRule
  readonly experts: Expert
  readonly combination: Combination<Output>
  /** The windows that the experts see. */
  readonly windows: WindowTable
}

/** The weights of a call. */
export interface MixtureWeights {
  /** (h,w,C,K). */
  readonly router: tf.Tensor4D
  /** By name, as the experts list them. */
  readonly experts: ExpertTensors
}

/** How a mixture is called. */
export interface MixtureMode extends ExpertMode {
  /** (B,K,N) float32, the scores of all patches, where the layer has computed them already for another purpose. */
  readonly scores?: tf.Tensor3D | undefined
}

/** All that the backward pass needs besides the map; its size is proportional to L/N. */
interface Forward {
  readonly routing: RoutingWithState
  readonly dispatched: DispatchedWindows
  readonly pass: ExpertPass
  readonly places: tf.Tensor1D | undefined
}

/**
 * A patch-level mixture of experts as one operation with a gradient written by hand: route, gather the kept patches, let
 * the experts compute, weight their outputs, combine them. Forward and backward work and memory are proportional to L/N,
 * apart from the router's one pass over the map.
 *
 * @param x (B,H,W,C) float32
 */
export function mixture<Output extends tf.Tensor>(
  x: tf.Tensor4D,
  weights: MixtureWeights,
  parts: MixtureParts<Output>,
  mode: MixtureMode,
): Output {
  const names = trainedNames(parts.experts, x)
  const trained = names.map(name => weights.experts[name] as tf.Tensor)
  const needsInputGradient = !isFixed(x)
  return handGradient([...(needsInputGradient ? [x] : []), weights.router, ...trained], () => {
    const forward = runForward(x, weights, parts, mode)
    const { routing, pass, places } = forward
    const { divisor } = parts.combination
    const gates = divisor === 1 ? routing.gates : (tf.div(routing.gates, divisor) as tf.Tensor3D)
    const weighted = tf.mul(pass.outputs, gatesPerRow(gates, pass.outputs)) as tf.Tensor3D
    const packed = packForward(forward)
    return {
      value: parts.combination.forward(weighted, routing.indices, places),
      saved: [x, ...packed.tensors],
      gradient: (dy, [map, ...saved]) => {
        const gradients = runBackward(
          dy,
          map as tf.Tensor4D,
          weights,
          parts,
          packed.unpack(saved),
          mode,
          needsInputGradient,
        )
        const byWeights = names.map(name => gradients.experts[name] as tf.Tensor)
        return [...(gradients.dx ? [gradients.dx] : []), gradients.router, ...byWeights]
      },
    }
  })
}

/** The names of the weights that get a gradient: moving averages get none. */
function trainedNames(experts: Expert, x: tf.Tensor4D): readonly string[] {
  return experts.weights(x.shape[3]).flatMap(({ name, average }) => (average ? [] : [name]))
}

function runForward<Output extends tf.Tensor>(
  x: tf.Tensor4D,
  weights: MixtureWeights,
  { routing: config, experts, combination, windows }: MixtureParts<Output>,
  mode: MixtureMode,
): Forward {
  const routing = routePatches(mode.scores ?? routerScores(x, weights.router, windows.grid), config)
  const dispatched = dispatchPatches(x, routing.indices, windows)
  const pass = experts.forward(dispatched, weights.experts, windows, mode)
  return { routing, dispatched, pass, places: combination.places(routing.indices, dispatched) }
}

function runBackward<Output extends tf.Tensor>(
  dy: Output,
  x: tf.Tensor4D,
  weights: MixtureWeights,
  parts: MixtureParts<Output>,
  forward: Forward,
  mode: ExpertMode,
  needsInputGradient: boolean,
): { dx?: tf.Tensor4D; router: tf.Tensor4D; experts: ExpertTensors } {
  const { experts, combination, windows } = parts
  const { routing, dispatched, pass } = forward
  const dWeighted = combination.gradient(dy, routing.indices, forward.places)
  const dGates = gateGradient(dWeighted, pass.outputs, routing)
  const dOutputs = tf.mul(dWeighted, gatesPerRow(routing.gates, pass.outputs)) as tf.Tensor3D
  const byExperts = experts.gradient(dOutputs, dispatched, pass, weights.experts, windows, mode)
  const byRouter = routerGradient(dGates, x, weights.router, parts, forward, needsInputGradient)
  const gradients = { router: byRouter.dRouter, experts: byExperts.dWeights }
  if (!needsInputGradient) return gradients
  const dOwnWindows = byExperts.dWindows()
  const dWindows = (byRouter.dWindows ? tf.add(dOwnWindows, byRouter.dWindows) : dOwnWindows) as tf.Tensor5D
  const sparse = dispatchGradient(dWindows, dispatched.rows, x.shape, windows)
  return { ...gradients, dx: byRouter.dx ? tf.add(sparse, byRouter.dx) : sparse }
}

/** (K,P,1): gates (B,K,L), repeated over the rows of outputs that each patch has. */
function gatesPerRow(gates: tf.Tensor3D, outputs: tf.Tensor3D): tf.Tensor3D {
  const [batch, experts, numKept] = gates.shape
  const rows = outputs.shape[1] / (batch * numKept)
  const sorted = tf.reshape(tf.transpose(gates, [1, 0, 2]), [experts, batch * numKept, 1]) as tf.Tensor3D
  if (rows === 1) return sorted
  return tf.reshape(tf.tile(sorted, [1, 1, rows]), [experts, -1, 1])
}

/** (B,K,L): dL/dG of a kept patch, summed over the outputs that it multiplies. */
function gateGradient(dWeighted: tf.Tensor3D, outputs: tf.Tensor3D, routing: RoutingWithState): tf.Tensor3D {
  const [batch, experts, numKept] = routing.gates.shape
  const products = tf.reshape(tf.mul(dWeighted, outputs), [experts, batch, numKept, -1])
  return tf.transpose(tf.sum(products, 3), [1, 0, 2])
}

/** The router's part: kept patches only (eq. 26), and, where the gates depend on all patches, the map as well. */
function routerGradient<Output extends tf.Tensor>(
  dGates: tf.Tensor3D,
  x: tf.Tensor4D,
  router: tf.Tensor4D,
  { routing: config, windows }: MixtureParts<Output>,
  { routing, dispatched }: Forward,
  needsInputGradient: boolean,
): { dRouter: tf.Tensor4D; dWindows?: tf.Tensor5D; dx?: tf.Tensor4D } {
  const gradient = scoreGradient(dGates, routing, config, windows.grid.count)
  if (!gradient) return { dRouter: tf.zerosLike(router) }
  const [experts, numWindows] = dispatched.windows.shape
  const core = coreOf(dispatched.windows, windows)
  const patches: tf.Tensor3D = tf.reshape(core, [experts, numWindows, -1])
  const dRouter = keptRouterGradient(gradient.kept, patches, router.shape)
  const dPatches = needsInputGradient && keptPatchesGradient(gradient.kept, router)
  const byWindows = dPatches ? { dWindows: withBorder(tf.reshape(dPatches, core.shape), windows) } : {}
  if (!gradient.all) return { dRouter, ...byWindows }
  const dense = routerScoresGradient(gradient.all, x, router, windows.grid)
  return { dRouter: tf.add(dRouter, dense.dRouter), dx: dense.dx, ...byWindows }
}

/**
 * Packs the tensors of a forward pass into a list for the tape, which keeps them until the backward pass has run, and
 * unpacks them again. A tensor that is used in several ways is listed once.
 */
function packForward({ routing, dispatched, pass, places }: Forward): {
  tensors: tf.Tensor[]
  unpack: (saved: tf.Tensor[]) => Forward
} {
  const tensors: tf.Tensor[] = []
  const pack = <R extends object>(record: R): ((saved: tf.Tensor[]) => R) => {
    const numbers = Object.entries(record).map(([name, tensor]: [string, tf.Tensor | undefined]) => {
      if (!tensor) return [name, -1] as const
      const index = tensors.indexOf(tensor)
      return [name, index < 0 ? tensors.push(tensor) - 1 : index] as const
    })
    return saved => Object.fromEntries(numbers.map(([name, index]) => [name, saved[index]])) as R
  }
  const unpackRouting = pack(routing)
  const unpackDispatched = pack(dispatched)
  const unpackState = pack(pass.state)
  const unpackRest = pack({ outputs: pass.outputs, places })
  return {
    tensors,
    unpack: saved => {
      const { outputs, places } = unpackRest(saved)
      return {
        routing: unpackRouting(saved),
        dispatched: unpackDispatched(saved),
        pass: { outputs, state: unpackState(saved) },
        places,
      }
    },
  }
}
