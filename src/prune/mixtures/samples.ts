import type { SampleMoE } from '../../layers/moe/sample-moe.js'
import type { LayerUse, Treatment } from '../channel-rules.js'
import { othersThan } from '../channels.js'
import { checkEnoughChoices, observedChoices, outputAmong, outputOfOnly } from './choosers-of-experts.js'
import { expertCuts, kernelNorms, routerWeight } from './expert-cuts.js'
import type { Cut, Mixture } from './mixture.js'

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
    observe: call => observedChoices(layer, call(layer)),
    treat: (use, cut) => sampleTreatment(use, cut),
    silenced: kept => [[layer, input => outputOfOnly(layer, input, numbersOf(kept))]],
    rerouted: kept => [
      [layer, input => outputAmong(layer, input, [...numbersOf(kept), ...layer.prunedExperts])],
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
  checkEnoughChoices(layer, router.length)
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

function channelsIn(layer: SampleMoE): number {
  return layer.weights[0]?.shape[2] as number
}
