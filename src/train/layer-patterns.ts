import type * as tfl from '@tensorflow/tfjs-layers'
import { allPlacedLayers, isNetworkHolder, type PlacedLayer } from '../layers/layer-paths.js'

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
  const weighted = weightedLayers(model)
  const matching = weighted.filter(matcherOfLayers(pattern))
  if (matching.length > 0) return matching
  throw new RangeError(
    `${where} must match a layer with weights, got ${JSON.stringify(pattern)} (${shortList('layers', pathsOf(weighted))})`,
  )
}

/**
 * The weights of a model that a pattern names: all weights of the layers that match it as in {@link matchingLayers}, and
 * single weights whose path matches, a layer's name or path and the weight's name: `sample_moe/router`, `*\/bias`.
 *
 * @param where the caller and the option, for errors
 * @returns each weight once, in the order of the model
 * @throws RangeError when neither a layer nor a weight matches
 */
export function matchingWeights(
  model: tfl.LayersModel,
  pattern: string,
  where: string,
): readonly tfl.LayerVariable[] {
  const weighted = weightedLayers(model)
  const matchesLayer = matcherOfLayers(pattern)
  const matches = globMatcher(pattern)
  const matching = weighted.flatMap(placed => {
    if (matchesLayer(placed)) return placed.layer.weights
    const { path, layer } = placed
    return ownWeights(layer).filter(weight =>
      [path, layer.name].some(name => matches(`${name}/${weightName(weight)}`)),
    )
  })
  if (matching.length > 0) return [...new Set(matching)]
  throw new RangeError(
    `${where} must match a layer with weights, or one of its weights, got ${JSON.stringify(pattern)} ` +
      `(${candidates(weighted, pattern)})`,
  )
}

/** The weights of a layer without those of the networks that it holds, whose layers are listed themselves. */
function ownWeights(layer: tfl.layers.Layer): readonly tfl.LayerVariable[] {
  if (!isNetworkHolder(layer)) return layer.weights
  const held = new Set([...layer.networks.values()].flatMap(({ weights }) => weights))
  return layer.weights.filter(weight => !held.has(weight))
}

/** The name of a weight within its layer: `kernel`. */
export function weightName({ originalName }: tfl.LayerVariable): string {
  return originalName.slice(originalName.lastIndexOf('/') + 1)
}

/** The weights of the layer that the pattern begins with, or else the layers. */
function candidates(weighted: readonly PlacedLayer[], pattern: string): string {
  const parent = pattern.slice(0, Math.max(pattern.lastIndexOf('/'), 0))
  const named = weighted.find(matcherOfLayers(parent))
  if (!named) return shortList('layers', pathsOf(weighted))
  return shortList(`weights of ${named.path}`, ownWeights(named.layer).map(weightName))
}

function weightedLayers(model: tfl.LayersModel): PlacedLayer[] {
  return allPlacedLayers(model).filter(({ layer }) => layer.weights.length > 0)
}

function matcherOfLayers(pattern: string): (placed: PlacedLayer) => boolean {
  const matches = globMatcher(pattern)
  return ({ path, layer }) => matches(path) || matches(layer.name)
}

function pathsOf(layers: readonly PlacedLayer[]): string[] {
  return layers.map(({ path }) => path)
}

function shortList(what: string, names: readonly string[]): string {
  const shown = names.slice(0, 12).join(', ')
  return `${what}: ${shown}${names.length > 12 ? `, and ${names.length - 12} more` : ''}`
}

function globMatcher(pattern: string): (text: string) => boolean {
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&')
  const expression = new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`)
  return text => expression.test(text)
}
