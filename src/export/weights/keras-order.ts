import type { StoredLayer } from './stored-layers.js'

/** The position of a layer in a network. */
interface LayerPosition {
  /** Path by classes, as `.weights.h5` files have it, after the models that it is nested in: `functional/conv2d_1`. */
  readonly numbered: string
  readonly ownName: string
  /** Names of the models that it is nested in, from the outermost. */
  readonly models: readonly string[]
}

/**
 * Puts the layers of a Keras file into the order of its network and gives them the names they have there, by the
 * configuration of the network. Files list them in another order: by class and number, or those that cannot be trained
 * last.
 *
 * @param layers of the file; for `.h5` also the layers of nested models
 * @param config of the model, as `model_config` of `.h5` and `config.json` of `.keras` have it
 * @returns the layers as they are where the configuration does not name them all
 */
export function inNetworkOrder(layers: readonly StoredLayer[], config: unknown): StoredLayer[] {
  const positions = positionsIn(config)
  const numbered = new Map(positions.map((position, index) => [position.numbered, { position, index }]))
  const named = new Map(positions.map((position, index) => [listedName(position), { position, index }]))
  const located = layers.map(layer => {
    const parts = layer.parts && { parts: inNetworkOrder(layer.parts, config) }
    if (isNumbered(layer)) return { layer, ...numbered.get(numberedName(layer)) }
    return { layer: { ...layer, ...parts }, ...named.get(listedName(layer)) }
  })
  if (located.some(({ index }) => index === undefined)) return located.map(({ layer }) => layer)
  return located
    .sort((a, b) => (a.index as number) - (b.index as number))
    .map(({ layer, position }) =>
      isNumbered(layer) && position
        ? { ...layer, ownName: position.ownName, models: position.models }
        : layer,
    )
}

const containers: ReadonlySet<string> = new Set(['layers', '_layer_checkpoint_dependencies'])

/** Whether a group of a `.weights.h5` file is the list of a model's layers, and not a layer itself. */
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

function positionsIn(
  config: unknown,
  groups: readonly string[] = [],
  models: readonly string[] = [],
): LayerPosition[] {
  const countOfClass = new Map<string, number>()
  return layersOf(config).flatMap(layer => {
    const { class_name: className, config: layerConfig } = layer as {
      class_name?: unknown
      config?: { name?: unknown }
    }
    const ownName = layerConfig?.name ?? (layer as { name?: unknown }).name
    if (typeof className !== 'string' || typeof ownName !== 'string') return []
    const group = snakeCase(className)
    const number = countOfClass.get(group) ?? 0
    countOfClass.set(group, number + 1)
    const path = [...groups, number === 0 ? group : `${group}_${number}`]
    const position = { numbered: path.join('/'), ownName, models }
    return [position, ...positionsIn(layer, path, [...models, ownName])]
  })
}

/** The layers of a model; in old files the configuration of a Sequential model is the list of its layers itself. */
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
