import type * as tfl from '@tensorflow/tfjs-layers'
import type { Gate } from '../../src/layers/moe/gates.js'
import { twoLayerPatchModel } from '../../src/models/two-layer.js'

/** What a reader of the method's page sets. */
export interface DigitsSettings {
  /** l: patches that each expert keeps, in [1, 16]. */
  readonly patchesPerExpert: number
  readonly gate: Gate
}

/** What the network was trained with. */
export const trainedSettings: DigitsSettings = { patchesPerExpert: 4, gate: 'softmax-selected' }

/**
 * The network of the method's page: a zero or a one among fifteen other digits, 4x4 cells of 8x8 pixels, four experts. No weight
 * depends on the settings, so that weights trained with some of them fit all others.
 */
export function digitsModel({ patchesPerExpert, gate }: DigitsSettings = trainedSettings): tfl.LayersModel {
  return twoLayerPatchModel({
    inputShape: [32, 32, 1],
    numClasses: 1,
    patchSize: 8,
    numExperts: 4,
    hiddenUnits: 40,
    patchesPerExpert,
    gate,
    seed: 1,
  })
}
