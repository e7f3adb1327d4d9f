import type * as tfl from '@tensorflow/tfjs-layers'
import { type PlacedLayer, placedLayers } from '../layers/layer-paths.js'
import type { MixtureClass } from './mixture-class.js'
import { patchGatesClass, patchMoEClass, twoLayerClass } from './patch-mixture-class.js'
import { choosesExperts, itemRoutingClass, sampleMoEClass } from './sample-mixture-class.js'

/** Mixtures by the class names of their layers. */
const classes: Readonly<Record<string, (placed: PlacedLayer, model: tfl.LayersModel) => MixtureClass>> = {
  SampleMoE: sampleMoEClass,
  PatchMoE: patchMoEClass,
  TwoLayerExperts: twoLayerClass,
}

/**
 * The mixtures of a model as the generalisation bound reads them, nested models included, in the order of the model; gates
 * of single experts together are one mixture.
 *
 * @param model built
 * @returns an empty list for a model without mixtures
 * @throws RangeError when a weight of an expert is not finite
 */
export function mixturesOf(model: tfl.LayersModel): MixtureClass[] {
  const placed = placedLayers(model)
  const gates = placed.filter(({ layer }) => layer.getClassName() === 'PatchGate')
  return placed.flatMap(place => {
    const name = place.layer.getClassName()
    const known = classes[name]
    if (known) return [known(place, model)]
    if (name === 'PatchGate') return place === gates[0] ? [patchGatesClass(gates, model)] : []
    return choosesExperts(place.layer) ? [itemRoutingClass(place, model)] : []
  })
}
