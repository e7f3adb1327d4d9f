import type * as tfl from '@tensorflow/tfjs-layers'
import { placedLayers } from '../../layers/layer-paths.js'
import { PatchMoE } from '../../layers/moe/patch-moe.js'
import { SampleExperts } from '../../layers/moe/sample-experts.js'
import { SampleMoE } from '../../layers/moe/sample-moe.js'
import { TwoLayerExperts } from '../../layers/moe/two-layer-experts.js'
import { branchMixture } from './branches.js'
import type { Mixture } from './mixture.js'
import { patchMoEMixture } from './patch-moe.js'
import { sampleNetworksMixture } from './sample-networks.js'
import { sampleMixture } from './samples.js'
import { twoLayerMixture } from './two-layer.js'

/** The mixtures of a model whose experts can be pruned, models inside it included, each once, in the order of the model. */
export function mixturesOf(model: tfl.LayersModel): readonly Mixture[] {
  const seen = new Set<tfl.layers.Layer>()
  return placedLayers(model).flatMap(({ path, layer }) => {
    if (seen.has(layer)) return []
    seen.add(layer)
    const mixture = mixtureAt(path, layer)
    return mixture ? [mixture] : []
  })
}

function mixtureAt(path: string, layer: tfl.layers.Layer): Mixture | undefined {
  if (layer instanceof PatchMoE) return patchMoEMixture(path, layer)
  if (layer instanceof TwoLayerExperts) return twoLayerMixture(path, layer)
  if (layer instanceof SampleMoE) return sampleMixture(path, layer)
  if (layer instanceof SampleExperts) return sampleNetworksMixture(path, layer)
  return branchMixture(layer, path.slice(0, path.length - layer.name.length))
}

/**
 * The mixtures that are meant.
 *
 * @param paths their paths; all mixtures of the model unless given
 * @throws RangeError when the model has none, or a path is not that of a mixture
 */
export function chosenMixtures(
  model: tfl.LayersModel,
  paths: string | readonly string[] | undefined,
  where: string,
): readonly Mixture[] {
  const mixtures = mixturesOf(model)
  if (mixtures.length === 0) {
    const layers = placedLayers(model)
    throw new RangeError(
      `${where}: model must have a mixture of experts, got ${model.name} with ${layers.length} layers and none`,
    )
  }
  if (paths === undefined) return mixtures
  const wanted = [paths].flat() as string[]
  for (const path of wanted) {
    if (mixtures.some(mixture => mixture.path === path)) continue
    const known = mixtures.map(mixture => mixture.path).join(', ')
    throw new RangeError(
      `${where}: layer must be a mixture of the model (${known}), got ${JSON.stringify(path)}`,
    )
  }
  if (wanted.length === 0) throw new RangeError(`${where}: layer must name at least 1 mixture, got none`)
  return mixtures.filter(mixture => wanted.includes(mixture.path))
}
