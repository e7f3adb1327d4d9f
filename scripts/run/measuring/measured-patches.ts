import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { ImageSet } from '../../../src/data/image-set.js'
import { firstImages, type ImageStream } from '../../../src/data/image-stream.js'
import { frozenClassifier } from '../../../src/inference/frozen-classifier.js'
import {
  firstPatchesPerExpert,
  mostPatchesPerExpert,
  restorePatchesPerExpert,
  setPatchesPerExpert,
} from '../../../src/layers/moe/routing-layers.js'
import { evaluate } from '../../../src/train/evaluate.js'
import { upload } from '../../../src/train/upload.js'
import { median } from './statistics.js'
import { timedInTurn } from './timed-in-turn.js'

/** Accuracy and time of a network whose experts keep L patches each. */
export interface MeasuredPatches {
  readonly patchesPerExpert: number
  /** Share of the test images that are put into the right class, in [0, 1]. */
  readonly accuracy: number
  /** Milliseconds of one batch, reading of the outputs included: median, least and most of the repeats. */
  readonly milliseconds: { readonly median: number; readonly least: number; readonly most: number }
}

/** How a curve over L was measured. */
export interface PatchesCurve {
  /** L in training; of the first layer, where layers differ. */
  readonly trained: number
  /** The most L: every patch, as a dense network. */
  readonly most: number
  readonly testImages: number
  /** Images in the batch whose time was taken. */
  readonly batch: number
  readonly repeats: number
  readonly points: readonly MeasuredPatches[]
}

const BATCH = 32
const REPEATS = 7

/**
 * Measures a trained classifier, frozen, for L = 1, 2, 4, ... up to all patches, and that of training: the accuracy on test
 * images, and the time of a batch, all L in turn in every repeat so that a busy machine slows all of them.
 *
 * @param signal ends the measurement between two batches, with its reason as the error
 * @throws RangeError when the model has no layers that keep patches
 */
export async function measurePatches(
  model: tfl.LayersModel,
  test: ImageSet | ImageStream,
  signal: AbortSignal,
): Promise<PatchesCurve> {
  const most = mostPatchesPerExpert(model, 'plan: --measure')
  const trained = firstPatchesPerExpert(model)
  const counts = [...new Set([...powersOfTwo(most), trained, most])].sort((a, b) => a - b)
  const first = await firstImages(test, BATCH)
  const batch = upload(first.images, test.shape)
  const frozen = await Promise.all(
    counts.map(patchesPerExpert => frozenClassifier(model, { patchesPerExpert })),
  )
  const restore = restorePatchesPerExpert(model)
  try {
    const accuracies: number[] = []
    for (const [i, count] of counts.entries()) {
      setPatchesPerExpert(model, count, 'plan: --measure')
      const { accuracy } = await evaluate(model, test, { batchSize: BATCH, frozen: frozen[i], signal })
      accuracies.push(accuracy)
    }
    const answers = frozen.map(classifier => async () => {
      const logits = classifier.logits(batch)
      await logits.data()
      logits.dispose()
    })
    const times = await timedInTurn(answers, { warmUp: 0, runs: REPEATS }, { signal })
    const points = counts.map((patchesPerExpert, i) => ({
      patchesPerExpert,
      accuracy: accuracies[i] as number,
      milliseconds: spreadOf(times[i] as number[]),
    }))
    return { trained, most, testImages: test.count, batch: first.count, repeats: REPEATS, points }
  } finally {
    restore()
    for (const classifier of frozen) classifier.dispose()
    tf.dispose(batch)
  }
}

function powersOfTwo(most: number): number[] {
  return Array.from({ length: Math.floor(Math.log2(most)) + 1 }, (_, i) => 2 ** i)
}

function spreadOf(seconds: readonly number[]): MeasuredPatches['milliseconds'] {
  const values = seconds.map(value => 1000 * value)
  return { median: median(values), least: Math.min(...values), most: Math.max(...values) }
}
