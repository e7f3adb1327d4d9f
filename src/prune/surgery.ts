import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { allPlacedLayers, isNetworkHolder, placedLayers } from '../layers/layer-paths.js'
import { type LayerChange, rebuildModel } from '../models/rebuild.js'
import { ownName } from './channel-rules.js'
import type { ChangedLayer, MixtureCut } from './channel-walk.js'
import type { ChangedWeight } from './receipt.js'

/**
 * Builds a model anew without the experts that go: weights are cut, and nothing is shared with the old model.
 *
 * @param changed the layers that change, by path
 * @returns the new model; the caller disposes it
 * @throws as `rebuildModel`
 */
export function withoutExperts(
  model: tfl.LayersModel,
  cuts: readonly MixtureCut[],
  changed: ReadonlyMap<string, ChangedLayer>,
  where: string,
): tfl.LayersModel {
  const besides = cuts.flatMap(({ mixture, cut }) => mixture.besides?.(cut) ?? [])
  const leftOut = besides.flatMap(part => part.leftOut)
  const bypassed = besides.flatMap(part => part.bypassed)
  const gone = new Set([...leftOut, ...bypassed])
  const settings = new Map<string, tf.serialization.ConfigDict>()
  for (const [path, config] of besides.flatMap(part => part.configs)) settings.set(path, config)
  for (const { path, config } of changed.values()) {
    if (!gone.has(path)) settings.set(path, { ...settings.get(path), ...config })
  }
  const changes = new Map([...settings].map(([path, config]) => [path, changing(config)]))
  const rebuilt = rebuildModel(model, changes, where, { leftOut, bypassed })
  const layers = new Map(placedLayers(rebuilt).map(({ path, layer }) => [path, layer]))
  for (const layer of changed.values()) {
    const target = layers.get(layer.path)
    if (target) writeCutWeights(layer, target)
  }
  return rebuilt
}

function changing(settings: tf.serialization.ConfigDict): LayerChange {
  return ({ className, config }) => ({ className, config: { ...config, ...settings } })
}

/** Every weight that was cut gets what is left of its values, and whether it is trained. */
function writeCutWeights({ layer, cuts }: ChangedLayer, target: tfl.layers.Layer): void {
  for (const weight of weightsOfItsOwn(layer)) {
    const own = cuts.filter(cut => cut.weight === ownName(weight))
    if (own.length === 0) continue
    const counterpart = target.weights.find(other => ownName(other) === ownName(weight)) as tfl.LayerVariable
    tf.tidy(() => {
      const left = own.reduce(
        (value, { axis, kept }) => tf.gather(value, tf.tensor1d([...kept], 'int32'), axis),
        weight.read() as tf.Tensor,
      )
      // Not counterpart.write(): it would apply the weight's constraint, which rounds.
      ;(counterpart.read() as tf.Variable).assign(left)
    })
    counterpart.trainable = weight.trainable
  }
}

/** The weights of two models whose shapes differ, or that only one of them has. */
export function changedWeights(before: tfl.LayersModel, after: tfl.LayersModel): readonly ChangedWeight[] {
  const [old, changed] = [shapesOf(before), shapesOf(after)]
  return [...new Set([...old.keys(), ...changed.keys()])].flatMap(key => {
    const [from, to] = [old.get(key), changed.get(key)]
    if (from?.shape.join() === to?.shape.join()) return []
    const { path, weight } = (from ?? to) as WeightShape
    return [{ path, weight, before: from?.shape ?? [], after: to?.shape ?? [] }]
  })
}

interface WeightShape {
  readonly path: string
  readonly weight: string
  readonly shape: readonly number[]
}

function shapesOf(model: tfl.LayersModel): ReadonlyMap<string, WeightShape> {
  return new Map(
    allPlacedLayers(model).flatMap(({ path, layer }) =>
      weightsOfItsOwn(layer).map(variable => {
        const weight = ownName(variable)
        return [`${path}/${weight}`, { path, weight, shape: variable.shape.map(Number) }] as const
      }),
    ),
  )
}

/** Those of networks that a layer holds belong to their own layers. */
function weightsOfItsOwn(layer: tfl.layers.Layer): readonly tfl.LayerVariable[] {
  if (!isNetworkHolder(layer)) return layer.weights
  const held = new Set([...layer.networks.values()].flatMap(network => network.weights))
  return layer.weights.filter(weight => !held.has(weight))
}
