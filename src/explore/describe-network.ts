import type * as tfl from '@tensorflow/tfjs-layers'
import { placedLayers } from '../layers/layer-paths.js'
import { PatchExperts } from '../layers/moe/patch-experts.js'
import {
  expertOrigins,
  isSampleRouting,
  mostPatchesPerExpert,
  type RoutingLayers,
} from '../layers/moe/routing-layers.js'
import { type ModelCost, modelCost } from '../models/cost.js'
import { mixturesOf } from '../prune/mixtures/find-mixtures.js'
import type { Mixture } from '../prune/mixtures/mixture.js'
import { expertTitle } from '../report/expert-title.js'
import type { ImageShape, Size2D } from '../shapes.js'
import { lossOf } from '../train/loss.js'
import type { ExpertDescription, NetworkDescription, PatchDescription } from './description.js'
import { networkGraph } from './network-graph.js'
import { patchSight } from './patch-sight.js'

/** What is said of a network besides its layers. */
export interface NamedNetwork {
  readonly model: tfl.LayersModel
  readonly source: string
  readonly name: string
  /** Fewer or none where they are not known. */
  readonly classNames: readonly string[]
}

/**
 * Describes a network that takes whole images.
 *
 * @param routing its layers that keep patches
 * @throws RangeError when it is no classifier
 */
export function describeNetwork(
  network: NamedNetwork,
  routing: RoutingLayers | undefined,
): NetworkDescription {
  const { model } = network
  const input = (model.inputs[0]?.shape ?? []).slice(1) as number[] as unknown as ImageShape
  const mixtures = mixturesOf(model)
  return {
    ...describeLayers(network, mixtures),
    input,
    ...(routing && { patches: describePatches(model, routing, mixtures, [input[0], input[1]]) }),
    mixtures: mixtures.map(({ path, choice, expertNames }) => ({
      path,
      choice,
      experts: expertNames.map((name, expert) => expertTitle({ name }, expert)),
    })),
  }
}

/** What is said of any network: its layers, classes and cost. */
export function describeLayers(
  { model, name, source, classNames }: NamedNetwork,
  mixtures: readonly Mixture[] = [],
): Pick<NetworkDescription, 'name' | 'source' | 'classNames' | 'parameters' | 'multiplyAdds' | 'graph'> {
  const { numClasses } = lossOf(model)
  const cost: ModelCost = modelCost(model)
  return {
    name,
    source,
    classNames: Array.from({ length: numClasses }, (_, label) => classNames[label] ?? `class ${label}`),
    parameters: cost.parameters.total,
    multiplyAdds: cost.multiplyAdds.forward,
    graph: networkGraph(model, cost, wordsOfMixtures(model, mixtures)),
  }
}

/** What the layers do that choose, by their paths. */
function wordsOfMixtures(model: tfl.LayersModel, mixtures: readonly Mixture[]): ReadonlyMap<string, string> {
  const words = new Map<string, string>()
  for (const { path, layer } of placedLayers(model)) {
    if (isSampleRouting(layer)) {
      words.set(path, `each image goes to ${layer.expertsPerSample} of ${layer.numExperts} experts`)
    }
    if (layer instanceof PatchExperts) words.set(path, keptWords(layer.numExperts, layer, layer.grid.count))
  }
  for (const { path, numExperts, patches } of mixtures) {
    if (patches) words.set(path, keptWords(numExperts, { patchesPerExpert: patches.kept }, patches.all))
  }
  return words
}

function keptWords(
  experts: number,
  { patchesPerExpert }: { readonly patchesPerExpert: number },
  all: number,
): string {
  const who = experts === 1 ? '1 expert keeps' : `${experts} experts, each keeps`
  return `${who} ${patchesPerExpert} of ${all} patches`
}

function describePatches(
  model: tfl.LayersModel,
  routing: RoutingLayers,
  mixtures: readonly Mixture[],
  input: Size2D,
): PatchDescription {
  const sight = patchSight(routing, input)
  return {
    grid: routing.grid,
    trained: routing.patchesPerExpert,
    most: mostPatchesPerExpert(model, 'explore'),
    experts: describeExperts(routing, mixtures),
    areOfImage: false,
    ...(sight && { sight }),
  }
}

/** The experts in the order in which `explain` lists them: layer after layer. */
function describeExperts({ layers }: RoutingLayers, mixtures: readonly Mixture[]): ExpertDescription[] {
  const origins = expertOrigins(layers)
  const places = layers.flatMap(layer => {
    const mixture = mixtures.find(({ routers }) => routers.some(router => router.layer === layer))
    if (!mixture) return new Array<undefined>(layer.expertNames?.length ?? 1).fill(undefined)
    const branch = mixture.routers.findIndex(router => router.layer === layer)
    const experts = mixture.routers.length > 1 ? [branch] : mixture.expertNames.map((_, expert) => expert)
    return experts.map(expert => ({ mixture: mixture.path, expert }))
  })
  return places.map((place, position) => ({
    title: expertTitle(origins[position], position),
    ...(place && { place }),
  }))
}

/**
 * What is said of a network that reads images in parts.
 *
 * @param layer chooses the patches, built for images of this shape
 */
export function describeRegions(
  { numExperts, patchesPerExpert, grid }: PatchExperts,
  imageShape: ImageShape,
): Pick<NetworkDescription, 'input' | 'patches' | 'mixtures'> {
  return {
    input: imageShape,
    patches: {
      grid: grid.cells,
      trained: patchesPerExpert,
      most: grid.count,
      experts: Array.from({ length: numExperts }, (_, expert) => ({ title: expertTitle(undefined, expert) })),
      areOfImage: true,
    },
    mixtures: [],
  }
}
