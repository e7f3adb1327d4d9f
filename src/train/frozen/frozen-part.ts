import type * as tfl from '@tensorflow/tfjs-layers'
import { allPlacedLayers, isNestedModel, isNetworkHolder } from '../../layers/layer-paths.js'
import { matchingLayers, matchingWeights, weightName } from '../layer-patterns.js'
import { isMovingStatistic } from '../moving-statistics.js'
import { namedLayer, pathOf } from './named-layer.js'

/** What normalization layers of the frozen part do in training: use their moving averages as they are, or follow the batches. */
export const FROZEN_STATISTICS = ['kept', 'followed'] as const
export type FrozenStatistics = (typeof FROZEN_STATISTICS)[number]

/** Which part of a network is not trained; the layers get their own flags back when the run ends. */
export interface FreezeOptions {
  /**
   * Names or paths of layers that are not trained, with `*` and `?`; those that normalise use their statistics as they are, unless
   * `frozenStatistics` says otherwise.
   */
  readonly freeze?: readonly string[]
  /**
   * Path of a layer: it and all layers before it, those that its output is computed from, are not trained, and compute in
   * training what they compute in an evaluation.
   */
  readonly freezeUntil?: string
  /** Names or paths of layers and of weights, with `*` and `?`: everything else is not trained. */
  readonly trainOnly?: readonly string[]
  /** Whether the routers of all mixtures are not trained; false unless given. */
  readonly freezeRouters?: boolean
  /** What normalizations do in layers that are not trained; `kept` unless given. */
  readonly frozenStatistics?: FrozenStatistics
}

/** The options of {@link FreezeOptions} among others. */
export function freezeOptions(
  options: {
    readonly [Name in keyof FreezeOptions]: FreezeOptions[Name] | undefined
  },
): FreezeOptions {
  const { freeze, freezeUntil, trainOnly, freezeRouters, frozenStatistics } = options
  return {
    ...(freeze && { freeze }),
    ...(freezeUntil !== undefined && { freezeUntil }),
    ...(trainOnly && { trainOnly }),
    ...(freezeRouters && { freezeRouters }),
    ...(frozenStatistics && { frozenStatistics }),
  }
}

/** What of a network is not trained. */
export interface FrozenPart {
  /** Layers all of whose weights are not trained. */
  readonly layers: ReadonlySet<tfl.layers.Layer>
  /** Weights that are not trained, of layers that train others. */
  readonly weights: ReadonlySet<tfl.LayerVariable>
  /** Layers that compute as in an evaluation whether they have weights or not. */
  readonly evaluated: ReadonlySet<tfl.layers.Layer>
}

/**
 * The part of a network that options say is not trained.
 *
 * @throws RangeError when a layer or pattern matches nothing, options exclude each other, or there are no routers to freeze
 */
export function frozenPart(
  model: tfl.LayersModel,
  { freeze = [], freezeUntil, trainOnly, freezeRouters = false }: FreezeOptions,
): FrozenPart {
  if (freezeUntil !== undefined && trainOnly) {
    throw new RangeError(
      `train: freezeUntil must be left out with trainOnly, got ${freezeUntil} and ${trainOnly.join(',')}`,
    )
  }
  const evaluated = freezeUntil === undefined ? new Set<tfl.layers.Layer>() : layersUntil(model, freezeUntil)
  const layers = new Set(evaluated)
  for (const pattern of freeze) {
    for (const { layer } of matchingLayers(model, pattern, 'train: freeze')) layers.add(layer)
  }
  const weights = new Set(freezeRouters ? routerWeights(model) : [])
  if (trainOnly) for (const weight of allBut(model, trainOnly)) weights.add(weight)
  return withWholeLayers(model, { layers, weights, evaluated })
}

/** Layers of which every weight is frozen are frozen whole, so that those that normalise keep their statistics. */
function withWholeLayers(model: tfl.LayersModel, { layers, weights, evaluated }: FrozenPart): FrozenPart {
  const whole = allPlacedLayers(model).flatMap(({ layer }) => {
    const isWhole = layer.weights.length > 0 && layer.weights.every(weight => weights.has(weight))
    return isWhole ? [layer] : []
  })
  return { layers: new Set([...layers, ...whole]), weights, evaluated }
}

function allBut(model: tfl.LayersModel, patterns: readonly string[]): readonly tfl.LayerVariable[] {
  const trained = new Set(patterns.flatMap(pattern => matchingWeights(model, pattern, 'train: trainOnly')))
  // Moving statistics are trained by nobody, and belong to the layer: those of a layer that trains others follow its batches.
  const following = new Set(
    allPlacedLayers(model).flatMap(({ layer }) =>
      layer.weights.some(weight => trained.has(weight)) ? layer.weights.filter(isMovingStatistic) : [],
    ),
  )
  return model.weights.filter(weight => !trained.has(weight) && !following.has(weight))
}

function routerWeights(model: tfl.LayersModel): readonly tfl.LayerVariable[] {
  const routers = allPlacedLayers(model).flatMap(({ layer }) => routerOf(layer))
  if (routers.length > 0) return [...new Set(routers)]
  throw new RangeError(
    `train: freezeRouters must be for a model with a mixture of experts, got ${model.name} with no router`,
  )
}

/** The weights of a layer's own router; none of a layer that does not route. */
function routerOf(layer: tfl.layers.Layer): readonly tfl.LayerVariable[] {
  const own = 'route' in layer ? layer.weights.filter(weight => isOfRouter(weightName(weight))) : []
  const network = isNetworkHolder(layer) ? layer.networks.get('router') : undefined
  return [...own, ...(network?.weights ?? [])]
}

/**
 * The weights that a layer's auxiliary terms depend on: those of its router, or all of a layer without one, and of all layers before
 * it.
 */
export function termWeights(model: tfl.LayersModel, path: string): readonly tfl.LayerVariable[] {
  const { layer, own, isHeld } = namedLayer(model, path, 'train: layer with auxiliary terms')
  const place = isHeld ? pathOf(model, own) : path
  const before = [...layersUntil(model, place)].filter(
    each => !innerLayers(isHeld ? own : layer).includes(each),
  )
  const router = routerOf(layer)
  return [...(router.length > 0 ? router : layer.weights), ...before.flatMap(({ weights }) => weights)]
}

function isOfRouter(name: string): boolean {
  return name === 'router' || name === 'router_bias'
}

/** A layer and all those that its output is computed from, in every call of it, with the layers of nested models. */
function layersUntil(model: tfl.LayersModel, path: string): ReadonlySet<tfl.layers.Layer> {
  const { own, inner, isHeld } = namedLayer(model, path, 'train: freezeUntil')
  if (isHeld) {
    throw new RangeError(
      `train: freezeUntil must be a layer through which all images pass, got ${path}, of a network that ${own.name} holds ` +
        '(freeze takes patterns for such layers)',
    )
  }
  const before = layersBefore(model, own)
  const inside = inner === undefined || !isNestedModel(own) ? innerLayers(own) : layersUntil(own, inner)
  return new Set([...[...before].flatMap(innerLayers), ...inside])
}

/** A layer, or those of a model, with the layers of the models inside it and of the networks that it holds. */
export function innerLayers(layer: tfl.layers.Layer): readonly tfl.layers.Layer[] {
  if (isNestedModel(layer)) return layer.layers.flatMap(innerLayers)
  if (!isNetworkHolder(layer)) return [layer]
  return [layer, ...[...layer.networks.values()].flatMap(({ layers }) => layers.flatMap(innerLayers))]
}

/** The layers of a model's own graph that a layer's output is computed from, without itself. */
function layersBefore(model: tfl.LayersModel, layer: tfl.layers.Layer): ReadonlySet<tfl.layers.Layer> {
  const calls = tensorsBehind(model.outputs).filter(({ sourceLayer }) => sourceLayer === layer)
  const before = new Set(tensorsBehind(calls.flatMap(inputsOf)).map(({ sourceLayer }) => sourceLayer))
  before.delete(layer)
  return before
}

/** Some tensors and all that they are computed from, each once. */
function tensorsBehind(tensors: readonly tfl.SymbolicTensor[]): readonly tfl.SymbolicTensor[] {
  const behind = new Map<number, tfl.SymbolicTensor>()
  const left = [...tensors]
  for (let tensor = left.pop(); tensor; tensor = left.pop()) {
    if (behind.has(tensor.id)) continue
    behind.set(tensor.id, tensor)
    left.push(...inputsOf(tensor))
  }
  return [...behind.values()]
}

function inputsOf({ sourceLayer, nodeIndex }: tfl.SymbolicTensor): readonly tfl.SymbolicTensor[] {
  return sourceLayer.inboundNodes[nodeIndex]?.inputTensors ?? []
}
