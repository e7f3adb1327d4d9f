import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { lossOf } from '../train/loss.js'
import { forInference, type InferenceOptions, type ModelRoute } from './for-inference.js'

/** A classifier as it was when it was frozen, up to its logits, for prediction alone. */
export interface FrozenClassifier {
  /**
   * The logits of images in inference mode, to 1e-5 of the largest.
   *
   * @param x (B,H,W,C) float32; the batch of any length
   * @returns (B, outputs) float32; the caller disposes it
   */
  logits(x: tf.Tensor): tf.Tensor2D
  /**
   * The same, and what each mixture chose, computed once; the caller disposes all of it.
   *
   * @throws Error when the classifier was frozen without `routes`
   */
  logitsWithRoutes(x: tf.Tensor): { readonly logits: tf.Tensor2D; readonly routes: readonly ModelRoute[] }
  /** Frees its numbers, those of the model stay. */
  dispose(): void
}

/**
 * Freezes a classifier for prediction on the current backend, as {@link forInference} does it, up to the logits that enter
 * its last softmax or sigmoid: `evaluate`, `predictProbabilities` and `explain` take it as their option `frozen`. Later
 * training of the model does not change it.
 *
 * @param model one output of shape (batch, outputs), of layers that can be exported
 * @throws RangeError as `lossOf` when the model is no classifier; UnsupportedModelError as {@link forInference}
 */
export async function frozenClassifier(
  model: tfl.LayersModel,
  options: InferenceOptions = {},
): Promise<FrozenClassifier> {
  const { network, weights, ofOutput } = lossOf(model).source
  const frozen = await forInference(network, options)
  // A copy of each, which stays as it is when the layer is trained.
  const head = weights().map(weight => tf.keep(tf.clone(weight)))
  const logitsOf = (outputs: readonly tf.Tensor[]) =>
    tf.tidy(() => {
      const [output] = outputs as [tf.Tensor]
      const logits = ofOutput(output, head)
      return logits === output ? tf.clone(logits) : logits
    })
  return {
    logits(x) {
      const outputs = frozen.predict(x)
      const logits = logitsOf(outputs)
      tf.dispose(outputs)
      return logits
    },
    logitsWithRoutes(x) {
      const { outputs, routes } = frozen.predictWithRoutes(x)
      const logits = logitsOf(outputs)
      tf.dispose(outputs)
      return { logits, routes }
    },
    dispose() {
      frozen.dispose()
      tf.dispose(head)
    },
  }
}
