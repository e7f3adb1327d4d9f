import type * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { isPositiveInteger, type Size2D } from '../../shapes.js'
import { allPlacedLayers, layersWithin } from '../layer-paths.js'
import type { SampleRouting } from './sample-routing.js'

/** A layer that keeps patches: PatchMoE, PatchGate or TwoLayerExperts. */
export interface RoutingLayer extends tfl.layers.Layer {
  readonly patchSize: Size2D
  /** L; may be set to any integer from 1 to N; no weight depends on it. */
  patchesPerExpert: number
  /** (K) what its experts are called: their numbers from 0 unless it was pruned. */
  readonly expertNames?: readonly string[]
  route(x: tf.Tensor4D): { readonly indices: tf.Tensor3D; readonly gates: tf.Tensor3D }
}

/** The routing layers of a model that choose from one and the same grid of patches. */
export interface RoutingLayers {
  readonly layers: readonly RoutingLayer[]
  /** The grid of patches that experts choose from, [rows, columns]. */
  readonly grid: Size2D
  /** Patches that each expert of the first layer keeps. */
  readonly patchesPerExpert: number
}

/**
 * The routing layers of a model, nested models included, that choose from the same grid as the first of them.
 *
 * @returns undefined for a model that keeps every patch
 */
export function routingLayers(model: tfl.LayersModel): RoutingLayers | undefined {
  const layers = layersWithin(model).filter(isRouting).filter(choosesPatches)
  const [first] = layers
  if (!first) return undefined
  const grid = gridOf(first)
  return {
    layers: layers.filter(layer => gridOf(layer).every((cells, axis) => cells === grid[axis])),
    grid,
    patchesPerExpert: first.patchesPerExpert,
  }
}

/** A layer that keeps patches, its place and the patches that it chooses from. */
interface KeepingLayer {
  readonly path: string
  readonly layer: RoutingLayer
  /** N. */
  readonly patches: number
}

function keepingLayers(model: tfl.LayersModel): readonly KeepingLayer[] {
  return allPlacedLayers(model).flatMap(({ path, layer }) => {
    if (!isRouting(layer)) return []
    const [rows, columns] = gridOf(layer)
    return [{ path, layer, patches: rows * columns }]
  })
}

function fewestPatches(model: tfl.LayersModel, where: string): KeepingLayer {
  const layers = keepingLayers(model)
  const [first, ...others] = layers
  if (!first) {
    const fixed = allPlacedLayers(model).find(({ layer }) => layer.getClassName() === 'PatchExperts')
    throw new RangeError(
      `${where} must be for a model with layers that keep patches of a map, got none in ${model.name}` +
        (fixed ? ` (layer ${fixed.path}, a PatchExperts, keeps as many as in training)` : ''),
    )
  }
  return others.reduce((fewest, layer) => (layer.patches < fewest.patches ? layer : fewest), first)
}

/**
 * The most patches that the experts of all layers of a model can keep: N of the layer with the fewest.
 *
 * @throws RangeError when no layer keeps patches
 */
export function mostPatchesPerExpert(model: tfl.LayersModel, where: string): number {
  return fewestPatches(model, where).patches
}

/**
 * Checks L against all layers of a model that keep patches.
 *
 * @param where the caller and its name of L, for errors: `forInference: patchesPerExpert`
 * @throws RangeError when there are none, or L is not an integer in [1, N]
 */
export function checkPatchesOfModel(model: tfl.LayersModel, patchesPerExpert: number, where: string): void {
  const { path, patches } = fewestPatches(model, where)
  if (isPositiveInteger(patchesPerExpert) && patchesPerExpert <= patches) return
  throw new RangeError(
    `${where} must be an integer in [1, ${patches}], got ${patchesPerExpert} ` +
      `(layer ${path} of ${model.name} chooses from ${patches} patches)`,
  )
}

/**
 * Changes how many patches each expert of a model keeps, in all its layers that keep patches; no weight depends on it.
 *
 * @throws RangeError as {@link checkPatchesOfModel}; nothing is changed then
 */
export function setPatchesPerExpert(model: tfl.LayersModel, patchesPerExpert: number, where: string): void {
  checkPatchesOfModel(model, patchesPerExpert, where)
  for (const { layer } of keepingLayers(model)) layer.patchesPerExpert = patchesPerExpert
}

/**
 * L of the first layer of a model that keeps patches.
 *
 * @throws RangeError when there is none
 */
export function firstPatchesPerExpert(model: tfl.LayersModel): number {
  fewestPatches(model, 'firstPatchesPerExpert: model')
  return (keepingLayers(model)[0] as KeepingLayer).layer.patchesPerExpert
}

/** Notes L of every layer of a model, and returns what sets them so again. */
export function restorePatchesPerExpert(model: tfl.LayersModel): () => void {
  const noted = keepingLayers(model).map(({ layer }) => ({ layer, count: layer.patchesPerExpert }))
  return () => {
    for (const { layer, count } of noted) layer.patchesPerExpert = count
  }
}

/** Which expert of a network one is, where experts of that network were pruned. */
export interface ExpertOrigin {
  /** What it was called before: its number from 0, or a name of its own. */
  readonly name: string
  /** The layer that it is in, where experts of several layers have the same name. */
  readonly layer?: string
}

/**
 * Which experts of the unpruned network the experts of some layers are.
 *
 * @returns one entry an expert, layer after layer; none where every expert is called by its number, as in a network that
 *   was never pruned
 */
export function expertOrigins(layers: readonly RoutingLayer[]): readonly ExpertOrigin[] {
  const experts = layers.flatMap(({ expertNames = [], name: layer }) =>
    expertNames.map((name, expert) => ({ name, layer, isNumber: name === String(expert) })),
  )
  if (experts.every(({ isNumber }) => isNumber)) return []
  const areUnique = new Set(experts.map(({ name }) => name)).size === experts.length
  return experts.map(({ name, layer }) => (areUnique ? { name } : { name, layer }))
}

function isRouting(layer: tfl.layers.Layer): layer is RoutingLayer {
  return 'route' in layer && 'patchSize' in layer && 'patchesPerExpert' in layer
}

function choosesPatches(layer: RoutingLayer): boolean {
  const [rows, columns] = gridOf(layer)
  return layer.patchesPerExpert < rows * columns
}

function gridOf(layer: RoutingLayer): Size2D {
  const [, height, width] = inputShape(layer)
  return [(height ?? 0) / layer.patchSize[0], (width ?? 0) / layer.patchSize[1]]
}

/** A layer used at several places has several inputs, all of one shape. */
function inputShape(layer: RoutingLayer): tfl.Shape {
  return (layer.inboundNodes[0]?.inputShapes[0] ?? []) as tfl.Shape
}

/** A layer that sends whole samples to experts, such as SampleMoE. */
export interface SampleRoutingLayer extends tfl.layers.Layer {
  /** M. */
  readonly numExperts: number
  /** k, experts that each sample chooses. */
  readonly expertsPerSample: number
  /** Names of the experts, for people. */
  readonly expertNames: readonly string[]
  /** Upper end of the noise that training adds to the scores. */
  readonly routingNoise: number
  /**
   * @param x (B,H,W,C) the layer's input
   * @param options `noise` (B,M), added to the scores
   */
  route(x: tf.Tensor4D, options?: { readonly noise?: tf.Tensor2D }): SampleRouting
  useStepSeed(seed: number | undefined): void
}

/** Whether a layer sends whole samples to experts. */
export function isSampleRouting(layer: tfl.layers.Layer): layer is SampleRoutingLayer {
  return 'route' in layer && 'expertsPerSample' in layer
}

/** The layers of a model that send whole samples to experts, nested models included, in the order of the model. */
export function sampleRoutingLayers(model: tfl.LayersModel): readonly SampleRoutingLayer[] {
  return layersWithin(model).filter(isSampleRouting)
}
