import type * as tfl from '@tensorflow/tfjs-layers'
import { allPlacedLayers, type PlacedLayer } from '../layers/layer-paths.js'

/**
 * The layers of a model whose name or path matches a pattern: `conv1`, `group1_*`, `backbone/*`.
 *
 * `*` stands for any characters, `?` for one. A pattern with a slash is compared with whole paths
 * (`backbone/conv1`), one without with names as well.
 *
 * @param where the caller and the option, for errors
 * @throws RangeError when no layer with weights matches
 */
export function matchingLayers(
  model: tfl.LayersModel,
  pattern: string,
  where: string,
): readonly PlacedLayer[] {
  const weighted = allPlacedLayers(model).filter(({ layer }) => layer.weights.length > 0)
  const matches = globMatcher(pattern)
  const matching = weighted.filter(({ path, layer }) => matches(path) || matches(layer.name))
  if (matching.length > 0) return matching
  const paths = weighted.map(({ path }) => path)
  const shown = paths.slice(0, 12).join(', ')
  throw new RangeError(
    `${where} must match a layer with weights, got ${JSON.stringify(pattern)} (layers: ${shown}${paths.length > 12 ? `, and ${paths.length - 12} more` : ''})`,
  )
}

function globMatcher(pattern: string): (text: string) => boolean {
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&')
  const expression = new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`)
  return text => expression.test(text)
}
