import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { UnsupportedModelError } from '../../src/export/graph/graph.js'
import { type FrozenClassifier, frozenClassifier } from '../../src/inference/frozen-classifier.js'
import { noteText } from '../terminal/safe-output.js'

/** What a command is about to ask of a model. */
export interface FreezingRequest {
  /** Images that it is asked about. */
  readonly images: number
  /** Whether what its mixtures chose is wanted. */
  readonly routes?: boolean
}

/**
 * From how many images on a frozen copy saves more time than it takes to make, in fresh processes. On wasm, WRN-10-1 on 32x32
 * pixels: it takes 0.05 to 0.1 s and saves as much in the first batch of 32. Native TensorFlow reads the graph from a file
 * and optimises it in the first batch. Processor time of WRN-10-2: 0.2 to 0.37 s to make, 0.016 s saved a batch of 32, so that
 * it pays from 400 to 740 images on; of WRN-10-10: 0.65 s, 0.03 to 0.05 s, from 420 to 640 images.
 */
const fewestImages: Readonly<Record<string, number>> = { tensorflow: 512 }
const FEWEST_ELSEWHERE = 32

/**
 * Freezes a classifier where that pays for itself. A model that cannot be frozen is used as it is, and a note on the error
 * stream says so.
 *
 * @returns undefined where the model itself is to be asked
 */
export async function frozenWhereFaster(
  model: tfl.LayersModel,
  { images, routes = false }: FreezingRequest,
): Promise<FrozenClassifier | undefined> {
  if (images < (fewestImages[tf.getBackend()] ?? FEWEST_ELSEWHERE)) return undefined
  try {
    return await frozenClassifier(model, { routes })
  } catch (error) {
    if (!(error instanceof UnsupportedModelError)) throw error
    process.stderr.write(
      `${noteText(`${model.name} is computed layer by layer, not frozen: ${error.message}`)}\n`,
    )
    return undefined
  }
}
