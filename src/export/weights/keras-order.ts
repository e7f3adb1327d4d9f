import type { StoredLayer } from './stored-layers.js'

/** Where a layer is in a network. */
interface Place {
  /** After the models it is nested in, as `.weights.h5` files call them by their classes: `functional/conv2d_1`. */
  readonly numbered: string
  readonly ownName: string
  /** Names of the models that it is nested in, from the outermost. */
  readonly models: readonly string[]
}

/**
 * Puts the layers of a Keras file into the order of its network and gives them the names they have there, by the
 * configuration of the network. Files list them otherwise: by class and number, or those that cannot be trained last.
 *
 * @param layers of the file; of `.h5` also those that are a nested model's
 * @param config of the model, as `model_config` of `.h5` and `config.json` of `.keras` have it
 * @returns the layers as they are where the configuration does not name them all
 */
export function inNetworkOrder(layers: readonly StoredLayer[], config: unknown): StoredLayer[] {
  const places = placesIn(config)
  const numbered = new Map(places.map((place, at) => [place.numbered, { place, at }]))
  const named = new Map(places.map((place, at) => [listedName(place), { place, at }]))
  const located = layers.map(layer => {
    const parts = layer.parts && { parts: inNetworkOrder(layer.parts, config) }
    if (isNumbered(layer)) return { layer, ...numbered.get(numberedName(layer)) }
    return { layer: { ...layer, ...parts }, ...named.get(listedName(layer)) }
  })
  if (located.some(({ at }) => at === undefined)) return located.map(({ layer }) => layer)
  return located
    .sort((a, b) => (a.at as number) - (b.at as number))
    .map(({ layer, place }) =>
      isNumbered(layer) && place ? { ...layer, ownName: place.ownName, models: place.models } : layer,
    )
}

const containers: ReadonlySet<string> = new Set(['layers', '_layer_checkpoint_dependencies'])

/** Whether a group of a `.weights.h5` file is the list of a model's layers, and no layer itself. */
export function isContainer(group: string): boolean {
  return containers.has(group)
}

function isNumbered({ name }: StoredLayer): boolean {
  return isContainer(name.split('/')[0] as string)
}

function numberedName({ name }: StoredLayer): string {
  return name
    .split('/')
    .filter(group => !isContainer(group))
    .join('/')
}

/** An `.h5` file lists the layers of a nested model together, however deep they are in it. */
function listedName({ ownName, models = [] }: Pick<StoredLayer, 'ownName' | 'models'>): string {
  return [...models.slice(0, 1), ownName].join('\n')
}

function placesIn(config: unknown, groups: readonly string[] = [], models: readonly string[] = []): Place[] {
  const uses = new Map<string, number>()
  return layersOf(config).flatMap(layer => {
    const { class_name: className, config: own } = layer as {
      class_name?: unknown
      config?: { name?: unknown }
    }
    const ownName = own?.name ?? (layer as { name?: unknown }).name
    if (typeof className !== 'string' || typeof ownName !== 'string') return []
    const group = snakeCase(className)
    const number = uses.get(group) ?? 0
    uses.set(group, number + 1)
    const path = [...groups, number === 0 ? group : `${group}_${number}`]
    const place = { numbered: path.join('/'), ownName, models }
    return [place, ...placesIn(layer, path, [...models, ownName])]
  })
}

/** Sequential models of old files have the list itself as their configuration. */
function layersOf(model: unknown): unknown[] {
  const { config } = (model ?? {}) as { config?: unknown }
  const layers = Array.isArray(config) ? config : (config as { layers?: unknown } | undefined)?.layers
  return Array.isArray(layers) ? layers.filter(layer => typeof layer === 'object' && layer !== null) : []
}

/** As Keras makes names of classes: `batch_normalization`, `conv2d`. */
function snakeCase(className: string): string {
  return className
    .replace(/\W+/g, '')
    .replace(/(.)([A-Z][a-z]+)/g, '$1_$2')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase()
}
