import * as tf from '@tensorflow/tfjs-core'
import type { SampleExperts } from '../../layers/moe/sample-experts.js'
import { type LayerUse, ownName, type Treatment } from '../channel-rules.js'
import { checkEnoughChoices, observedChoices, outputAmong, outputOfOnly } from './choosers-of-experts.js'
import { squaresOfBlocks } from './expert-cuts.js'
import type { Cut, Mixture } from './mixture.js'

/** The experts of a `SampleExperts`, which are whole networks; those that go take their columns of the router with them. */
export function sampleNetworksMixture(path: string, layer: SampleExperts): Mixture {
  const { numExperts, expertNames, gate } = layer
  return {
    path,
    layer,
    numExperts,
    expertNames,
    choice: 'of experts',
    gate,
    ownsChannels: false,
    operators: ['reroute'],
    routers: [{ path, layer }],
    recorded: [layer],
    kernelNorms: () => networkNorms(layer),
    observe: call => observedChoices(layer, call(layer)),
    treat: (use, cut) => sampleNetworksTreatment(use, cut),
    silenced: kept => [[layer, input => outputOfOnly(layer, input, kept)]],
    rerouted: kept => [[layer, input => outputAmong(layer, input, kept)]],
  }
}

/** What becomes of a `SampleExperts` some of whose experts go; channels cannot be taken from its networks. */
export function sampleNetworksTreatment(use: LayerUse, cut?: Cut): Treatment | string {
  const layer = use.layer as SampleExperts
  if (use.inputs[0]) return 'its experts are networks, which read all channels'
  if (!cut || cut.kept.length === layer.numExperts) return {}
  const { kept } = cut
  checkEnoughChoices(layer, kept.length)
  const { experts, frozenNetworks = [] } = use.config as unknown as {
    experts: tf.serialization.ConfigDictArray
    frozenNetworks?: readonly number[]
  }
  return {
    cuts: [
      { weight: 'router', axis: 3, kept },
      ...(layer.routerBias ? [{ weight: 'router_bias', axis: 0, kept }] : []),
    ],
    config: {
      numExperts: kept.length,
      experts: kept.map(expert => experts[expert] as tf.serialization.ConfigDict),
      expertNames: kept.map(expert => layer.expertNames[expert] as string),
      frozenNetworks: kept.flatMap((expert, place) => (frozenNetworks.includes(expert) ? [place] : [])),
    },
  }
}

/** (M) the norm of all kernels of each network. */
function networkNorms({ networks }: SampleExperts): tf.Tensor1D {
  return tf.tidy(() => {
    const norms = [...networks.values()].map(network => {
      const kernels = network.weights.filter(weight => ownName(weight).endsWith('kernel'))
      const squares = kernels.map(kernel => squaresOfBlocks(kernel.read(), 0, 1))
      return tf.sqrt(tf.addN([tf.zeros([1]), ...squares]))
    })
    return tf.concat(norms) as tf.Tensor1D
  })
}
