import type * as tf from '@tensorflow/tfjs'
import { twoLayerPatchModel } from '../../src/models/two-layer.js'

/** 4x4 images of one channel; all of one image's light is in one 2x2 patch. */
export function brightPatch(patch: number): Uint8Array {
  const image = new Uint8Array(16)
  const [top, left] = [Math.floor(patch / 2) * 2, (patch % 2) * 2]
  for (const [y, x] of [
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ] as const)
    image[(top + y) * 4 + left + x] = 255
  return image
}

/** A two-layer mixture over 2x2 patches of such images. */
export function twoLayer(numExperts: number, patchesPerExpert: number): tf.LayersModel {
  const options = {
    inputShape: [4, 4, 1],
    patchSize: 2,
    hiddenUnits: 4,
    numClasses: 2,
    normalizer: 'selected',
  } as const
  return twoLayerPatchModel({ ...options, numExperts, patchesPerExpert, gate: 'softmax-selected', seed: 1 })
}
