import * as tf from '@tensorflow/tfjs-core'
import type { TwoLayerExperts } from '../../layers/moe/two-layer-experts.js'
import type { LayerUse, Treatment } from '../channel-rules.js'
import { channelsIn, choosersOfPatches, receivedPatches, scoresOf } from './choosers-of-patches.js'
import { expertCuts, routerWeight } from './expert-cuts.js'
import type { Cut, Mixture, Observation, RecordedCall } from './mixture.js'

/** The experts of a `TwoLayerExperts`, whose outputs are summed: one that is removed adds 0. */
export function twoLayerMixture(path: string, layer: TwoLayerExperts): Mixture {
  return {
    ...choosersOfPatches(path, layer),
    ownsChannels: false,
    observe: call => observation(layer, call(layer)),
    treat: twoLayerTreatment,
    silenced: kept => [[layer, input => sumOfExperts(layer, input, kept)]],
  }
}

/** What becomes of a `TwoLayerExperts` that reads fewer channels, or some of whose experts go. */
export function twoLayerTreatment(use: LayerUse, cut?: Cut): Treatment | string {
  const layer = use.layer as TwoLayerExperts
  const { numExperts, hiddenUnits, outputs, expertNames } = layer
  const isCut = cut !== undefined && cut.kept.length < numExperts
  const channels = channelsIn(layer)
  const cuts = expertCuts(
    [
      routerWeight([...layer.patchSize, channels, numExperts]),
      ...layer.experts.weights(channels),
      { name: 'head', shape: [hiddenUnits, outputs], axes: { experts: 0 } },
    ],
    numExperts,
    isCut ? cut.kept : undefined,
    use,
  )
  if (typeof cuts === 'string') return cuts
  const config = isCut && {
    numExperts: cut.kept.length,
    hiddenUnits: cut.kept.length * layer.experts.size,
    expertNames: cut.kept.map(expert => expertNames[expert] as string),
  }
  return { cuts, ...(use.inputs[0] && { reads: true }), ...(config && { config }) }
}

function sumOfExperts(layer: TwoLayerExperts, input: tf.Tensor4D, kept: readonly number[]): tf.Tensor {
  const contributions = layer.contributions(input)
  return tf.sum(tf.gather(contributions, tf.tensor1d([...kept], 'int32'), 1), 1)
}

function observation(layer: TwoLayerExperts, { input, slope }: RecordedCall): Observation {
  const { grid, numExperts } = layer
  const routing = layer.route(input)
  return {
    scores: () => scoresOf(layer, input),
    received: () => receivedPatches(routing.indices, grid.count),
    gates: () => routing.gates,
    outputs: () => layer.contributions(input),
    // The layer's output is the sum of the experts', so that each has the sum's derivative.
    slopes: () => tf.tile(tf.expandDims(slope as tf.Tensor, 1), [1, numExperts, 1]),
  }
}
