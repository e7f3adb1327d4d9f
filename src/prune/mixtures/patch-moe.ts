import * as tf from '@tensorflow/tfjs-core'
import { gateFactor } from '../../layers/moe/gates.js'
import type { PatchMoE } from '../../layers/moe/patch-moe.js'
import { placedChannels } from '../../layers/moe/placement.js'
import type { LayerUse, Treatment } from '../channel-rules.js'
import { type Channels, numbersOfBlocks, othersThan, range } from '../channels.js'
import { channelsIn, choosersOfPatches, receivedPatches, scoresOf } from './choosers-of-patches.js'
import { expertCuts, routerWeight } from './expert-cuts.js'
import type { Cut, Mixture, Observation, RecordedCall } from './mixture.js'

/** The experts of a `PatchMoE`, which own channels of its map. */
export function patchMoEMixture(path: string, layer: PatchMoE): Mixture {
  return {
    ...choosersOfPatches(path, layer),
    ownsChannels: true,
    observe: call => observation(layer, call(layer)),
    treat: (use, cut) => patchMoETreatment(use, cut, path),
    silenced: kept => {
      const mask = new Float32Array(layer.filters)
      for (const channel of channelsOfExperts(layer, kept)) mask[channel] = 1
      return [[layer, (_, output) => tf.mul(output, tf.tensor1d(mask))]]
    },
  }
}

/** What becomes of a `PatchMoE` that reads fewer channels, or some of whose experts go. */
export function patchMoETreatment(use: LayerUse, cut?: Cut, path = ''): Treatment | string {
  const layer = use.layer as PatchMoE
  const isCut = cut !== undefined && cut.kept.length < layer.numExperts
  const weights = [routerWeight([...layer.patchSize, channelsIn(layer), layer.numExperts])]
  const cuts = expertCuts(
    [...weights, ...layer.experts.weights(channelsIn(layer))],
    layer.numExperts,
    isCut ? cut.kept : undefined,
    use,
  )
  if (typeof cuts === 'string') return cuts
  return {
    cuts,
    ...(use.inputs[0] && { reads: true }),
    ...(isCut && outputOf(layer, cut, path)),
  }
}

function outputOf(layer: PatchMoE, { kept, operator }: Cut, path: string): Treatment {
  const channels = channelsOfExperts(layer, kept)
  const config = {
    numExperts: kept.length,
    expertNames: kept.map(expert => layer.expertNames[expert] as string),
  }
  if (operator === 'zero') return { config: { ...config, channelsOf: [...channels] } }
  const gone = channelsOfExperts(layer, othersThan(kept, layer.numExperts))
  const output: Channels = { size: layer.filters, kept: othersThan(gone, layer.filters), source: path }
  const positions = new Map(output.kept.map((channel, position) => [channel, position]))
  const channelsOf = channels.map(channel => positions.get(channel) as number)
  return { config: { ...config, filters: output.kept.length, channelsOf }, output }
}

function channelsOfExperts({ placement }: PatchMoE, experts: readonly number[]): readonly number[] {
  const { size, slotOf } = placement
  return numbersOfBlocks(
    experts.map(expert => slotOf[expert] as number),
    size,
  )
}

function observation(layer: PatchMoE, { input, output, slope }: RecordedCall): Observation {
  const { grid, gate, gateScale, patchesPerExpert } = layer
  const routing = layer.route(input)
  const factor = gateFactor(gate, gateScale, patchesPerExpert, grid.count)
  return {
    scores: () => scoresOf(layer, input),
    received: () => receivedPatches(routing.indices, grid.count),
    gates: () => tf.div(routing.gates, factor),
    outputs: () => rowsOfExperts(output, layer),
    slopes: () => rowsOfExperts(slope as tf.Tensor, layer),
  }
}

/** (B,H,W,channels) -> (B,K,H W F): the channels of each expert in one row. */
function rowsOfExperts(map: tf.Tensor, { placement, numExperts, filters }: PatchMoE): tf.Tensor3D {
  const channels = placedChannels(placement)
  const areAll = channels.length === filters && range(filters).every(channel => channels[channel] === channel)
  const own = areAll ? map : tf.gather(map, tf.tensor1d([...channels], 'int32'), 3)
  const batch = map.shape[0] as number
  const split = tf.reshape(own, [batch, -1, numExperts, placement.size])
  return tf.reshape(tf.transpose(split, [0, 2, 1, 3]), [batch, numExperts, -1])
}
