import * as tf from '@tensorflow/tfjs-core'
import { handGradient } from '../layers/hand-gradient.js'

/**
 * Mean softmax cross-entropy in nats.
 *
 * The derivative by the logit of the right class is computed as minus the sum of the other probabilities, not as the
 * difference of two numbers near 1: it stays exact where a sample is nearly certain, which optimizers that normalise
 * gradients make visible.
 *
 * @param labels (B, classes) float32, 1 for the right class of each sample, else 0
 * @param logits (B, classes) float32
 * @returns a scalar; differentiated by the logits only
 */
export function crossEntropy(labels: tf.Tensor2D, logits: tf.Tensor2D): tf.Scalar {
  const loss = () => tf.losses.softmaxCrossEntropy(labels, logits)
  return meanLoss(logits, labels, loss, (p, hot) => {
    const wrong = tf.mul(p, tf.sub(1, hot))
    return tf.sub(wrong, tf.mul(hot, tf.sum(wrong, 1, true)))
  })
}

/**
 * Mean cross-entropy that takes the softmax of probabilities, the softmax of the logits, once more, as published code of
 * sample-level mixtures does: at least ln(1 + (classes - 1)/e), 0.3133 for two classes, and bounded above.
 *
 * @param labels (B, classes) float32, 1 for the right class of each sample, else 0
 * @param logits (B, classes) float32
 * @returns a scalar; differentiated by the logits only
 */
export function crossEntropyOfProbabilities(labels: tf.Tensor2D, logits: tf.Tensor2D): tf.Scalar {
  const loss = () => tf.losses.softmaxCrossEntropy(labels, tf.softmax(logits))
  return meanLoss(logits, labels, loss, (p, hot) => {
    // The derivative by each probability, less that by the probability of the right class: (B, classes).
    const derivative = tf.sub(tf.softmax(p), hot)
    const excess = tf.sub(derivative, tf.sum(tf.mul(derivative, hot), 1, true))
    return tf.mul(p, tf.sub(excess, tf.sum(tf.mul(p, excess), 1, true)))
  })
}

/** The least value of {@link crossEntropyOfProbabilities}, in nats. */
export function floorOfProbabilities(numClasses: number): number {
  return Math.log(1 + (numClasses - 1) / Math.E)
}

/**
 * A mean over samples with a gradient by hand.
 *
 * @param derivative of each sample's loss by its logits, (B, classes), from its probabilities and labels
 */
function meanLoss(
  logits: tf.Tensor2D,
  labels: tf.Tensor2D,
  loss: () => tf.Tensor,
  derivative: (probabilities: tf.Tensor2D, labels: tf.Tensor2D) => tf.Tensor,
): tf.Scalar {
  return handGradient<tf.Scalar>([logits], () => ({
    value: tf.tidy(loss) as tf.Scalar,
    saved: [logits, labels],
    gradient: (dy, [z, hot]) => [
      tf.mul(derivative(tf.softmax(z as tf.Tensor2D), hot as tf.Tensor2D), tf.div(dy, logits.shape[0])),
    ],
  }))
}
