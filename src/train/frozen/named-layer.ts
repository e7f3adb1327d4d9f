import type * as tfl from '@tensorflow/tfjs-layers'
import { closest } from 'fastest-levenshtein'
import { isNestedModel, isNetworkHolder } from '../../layers/layer-paths.js'

/** A layer of a model that was named by its path. */
export interface NamedLayer {
  readonly path: string
  readonly layer: tfl.layers.Layer
  /** The layer among the model's own that is named, or that the named layer stands in. */
  readonly own: tfl.layers.Layer
  /** Path of the named layer within `own`, where that is a nested model. */
  readonly inner?: string
  /** Whether the named layer is of a network that `own` holds, such as an expert. */
  readonly isHeld: boolean
}

/**
 * Finds one layer of a model by its path, `backbone/conv1`, or by its name where only one layer has it. Nested models can be named,
 * too.
 *
 * @param where the caller and its name of the path, for errors
 * @throws RangeError naming the nearest path and what layers there are; or the paths of several layers of that name
 */
export function namedLayer(model: tfl.LayersModel, path: string, where: string): NamedLayer {
  const layers = namedLayers(model)
  const exact = layers.find(each => each.path === path)
  const byName = layers.filter(each => each.path.endsWith(`/${path}`))
  const named = exact ?? (byName.length === 1 ? byName[0] : undefined)
  if (named) return named
  if (byName.length > 1) {
    throw new RangeError(
      `${where} must be the path of one layer, got ${path} (that of ${byName.map(each => each.path).join(', ')})`,
    )
  }
  const paths = layers.map(each => each.path)
  const shown = paths.slice(0, 12).join(', ')
  const more = paths.length > 12 ? `, and ${paths.length - 12} more` : ''
  const containing = paths.filter(each => each.includes(path))
  const nearest = closest(path, containing.length > 0 ? containing : paths)
  throw new RangeError(
    `${where} must be a layer of the model, got ${JSON.stringify(path)} (nearest: ${nearest}; layers: ${shown}${more})`,
  )
}

function namedLayers(model: tfl.LayersModel): readonly NamedLayer[] {
  return model.layers.flatMap((own): NamedLayer[] => {
    const { name: path } = own
    if (isNestedModel(own)) {
      const inside = namedLayers(own).map(({ path: inner, layer, isHeld }) => ({
        path: `${path}/${inner}`,
        layer,
        own,
        inner,
        isHeld,
      }))
      return [{ path, layer: own, own, isHeld: false }, ...inside]
    }
    const held = isNetworkHolder(own)
      ? [...own.networks].flatMap(([network, { layers }]) =>
          layers.map(layer => ({ path: `${path}/${network}/${layer.name}`, layer, own, isHeld: true })),
        )
      : []
    return [{ path, layer: own, own, isHeld: false }, ...held]
  })
}

/** The path of a layer of a model, nested models included. */
export function pathOf(model: tfl.LayersModel, layer: tfl.layers.Layer): string {
  return namedLayers(model).find(each => each.layer === layer)?.path ?? layer.name
}
