import * as tf from '@tensorflow/tfjs-core'
import type { SampleMoE } from '../../layers/moe/sample-moe.js'
import {
  oneHot,
  perChoice,
  routeSamples,
  type SampleRouting,
  sampleScores,
} from '../../layers/moe/sample-routing.js'
import type { LayerUse, Treatment } from '../channel-rules.js'
import { othersThan, range } from '../channels.js'
import { expertCuts, kernelNorms, routerWeight } from './expert-cuts.js'
import type { Cut, Mixture, Observation, RecordedCall } from './mixture.js'

/** The experts of a `SampleMoE`, which samples choose; those that were pruned before are none of them. */
export function sampleMixture(path: string, layer: SampleMoE): Mixture {
  const columns = othersThan(layer.prunedExperts, layer.numExperts)
  const numbersOf = (kept: readonly number[]) => kept.map(expert => columns[expert] as number)
  return {
    path,
    layer,
    numExperts: columns.length,
    expertNames: columns.map(column => layer.expertNames[column] as string),
    choice: 'of experts',
    gate: layer.gate,
    ownsChannels: false,
    operators: ['zero', 'reroute'],
    ...(columns.length < layer.numExperts && { columns }),
    routers: [{ path, layer }],
    recorded: [layer],
    kernelNorms: () => kernelNorms(layer, expertWeights(layer, columns.length), columns.length),
    observe: call => observation(layer, call(layer)),
    treat: (use, cut) => sampleTreatment(use, cut),
    silenced: kept => [
      [layer, input => layer.outputFor(input, silencedRouting(layer, input, numbersOf(kept)))],
    ],
    rerouted: kept => [
      [layer, input => layer.outputFor(input, reroutedRouting(layer, input, numbersOf(kept)))],
    ],
  }
}

/** What becomes of a `SampleMoE` that reads fewer channels, or some of whose experts go. */
export function sampleTreatment(use: LayerUse, cut?: Cut): Treatment | string {
  const layer = use.layer as SampleMoE
  const columns = othersThan(layer.prunedExperts, layer.numExperts)
  const isCut = cut !== undefined && cut.kept.length < columns.length
  const left = isCut ? leftOf(layer, columns, cut) : undefined
  const router = routerWeight([...layer.patchSize, channelsIn(layer), layer.numExperts])
  const ofRouter = expertCuts([router], layer.numExperts, left?.router, use)
  const ofExperts = expertCuts(expertWeights(layer, columns.length), columns.length, left && cut?.kept, use)
  return {
    cuts: [...ofRouter, ...ofExperts] as NonNullable<Treatment['cuts']>,
    ...(use.inputs[0] && { reads: true }),
    ...(left && { config: left.config }),
  }
}

/** The columns of the router that stay, and the settings of the layer. */
function leftOf(
  layer: SampleMoE,
  columns: readonly number[],
  { kept, operator }: Cut,
): { readonly router: readonly number[] | undefined; readonly config: NonNullable<Treatment['config']> } {
  const removed = othersThan(kept, columns.length).map(expert => columns[expert] as number)
  if (operator === 'zero') {
    const prunedExperts = [...layer.prunedExperts, ...removed].toSorted((a, b) => a - b)
    return { router: undefined, config: { prunedExperts } }
  }
  const router = othersThan(removed, layer.numExperts)
  if (router.length < layer.expertsPerSample) {
    throw new RangeError(
      `pruneExperts: at least ${layer.expertsPerSample} experts must stay for operator 'reroute', as many as each sample ` +
        `chooses, got ${router.length} (layer ${layer.name})`,
    )
  }
  const prunedExperts = layer.prunedExperts.map(column => router.indexOf(column))
  const expertNames = router.map(column => layer.expertNames[column] as string)
  return { router, config: { numExperts: router.length, prunedExperts, expertNames } }
}

function expertWeights(layer: SampleMoE, experts: number) {
  const filters = experts * layer.outputs * layer.filtersPerOutput
  const shape = [...layer.patchSize, channelsIn(layer), filters]
  const kernel = { name: 'kernel', shape, axes: { experts: 3, channels: 2 } }
  return [kernel, ...(layer.useBias ? [{ name: 'bias', shape: [filters], axes: { experts: 0 } }] : [])]
}

function observation(layer: SampleMoE, { input, slope }: RecordedCall): Observation {
  const { numExperts } = layer
  const routing = layer.route(input)
  const chosen = oneHot(perChoice(routing.indices), numExperts) // (B,k,M)
  const gates = tf.expandDims(perChoice(routing.gates), 2)
  return {
    scores: () => tf.expandDims(routing.scores, 2),
    received: () => tf.expandDims(tf.sum(chosen, 1), 2),
    gates: () => tf.expandDims(tf.sum(tf.mul(chosen, gates), 1), 2),
    outputs: () =>
      tf.stack(
        range(numExperts).map(expert => layer.outputFor(input, onlyGatesOf(routing, [expert], numExperts))),
        1,
      ) as tf.Tensor3D,
    // The layer's output is the sum of the experts', so that each has the sum's derivative.
    slopes: () => tf.tile(tf.expandDims(slope as tf.Tensor, 1), [1, numExperts, 1]),
  }
}

/** Samples choose as before; the gates of experts that go are 0. */
function silencedRouting(layer: SampleMoE, input: tf.Tensor4D, kept: readonly number[]) {
  return onlyGatesOf(layer.route(input), kept, layer.numExperts)
}

/** The same choices, with gates of 0 but for some experts. */
function onlyGatesOf(
  { indices, gates }: SampleRouting,
  experts: readonly number[],
  numExperts: number,
): Pick<SampleRouting, 'indices' | 'gates'> {
  const isKept = tf.tensor1d(range(numExperts).map(expert => (experts.includes(expert) ? 1 : 0)))
  const choices = perChoice(indices)
  const factors = tf.sum(tf.mul(oneHot(choices, numExperts), isKept), 2)
  return { indices: choices, gates: tf.mul(perChoice(gates), factors) as tf.Tensor2D }
}

/** A score that no expert with a router of its own has, and that a softmax takes for 0. */
const NEVER = -1e30

/** Samples choose among the experts that stay, and those that were pruned before. */
function reroutedRouting(layer: SampleMoE, input: tf.Tensor4D, kept: readonly number[]) {
  const stays = new Set([...kept, ...layer.prunedExperts])
  const mask = tf.tensor1d(range(layer.numExperts).map(expert => (stays.has(expert) ? 0 : NEVER)))
  const scores = sampleScores(input, layer.weights[0]?.read() as tf.Tensor4D, layer.grid)
  const { expertsPerSample, gate, gateNoise } = layer
  return routeSamples(tf.add(scores, mask) as tf.Tensor2D, { expertsPerSample, gate, gateNoise })
}

function channelsIn(layer: SampleMoE): number {
  return layer.weights[0]?.shape[2] as number
}
