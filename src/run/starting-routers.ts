import type * as tfl from '@tensorflow/tfjs-layers'
import type { StoredTensor } from '../data/formats/safetensors.js'
import { namedWeights, nameInLayer, storedWeights } from '../export/weights/weights.js'

/** Routers of mixtures by the path of their layer: `backbone/patch_moe/router` -> (h,w,C,K), float32. */
export type Routers = ReadonlyMap<string, StoredTensor>

/**
 * Reads the routers of every mixture of a model, whether its experts choose patches or images choose experts.
 *
 * @returns copies, in the order of the layers; empty for a model without a mixture
 */
export function modelRouters(model: tfl.LayersModel): Promise<Routers> {
  const routers = namedWeights(model).filter(
    ({ layer, variable }) => 'route' in layer && nameInLayer(variable) === 'router',
  )
  return storedWeights(routers)
}
