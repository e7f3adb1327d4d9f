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
 * Mean softmax cross-entropy in nats with targets that are any numbers, as smoothed, mixed or weighted labels are: the mean of
 * -sum target ln probability.
 *
 * What the derivative by a logit has of its own class is computed from the sum of the other probabilities, as in
 * {@link crossEntropy}.
 *
 * @param targets (B, classes) float32, at least 0
 * @param logits (B, classes) float32
 * @returns a scalar; differentiated by the logits only
 */
export function softCrossEntropy(targets: tf.Tensor2D, logits: tf.Tensor2D): tf.Scalar {
  const loss = () => tf.losses.softmaxCrossEntropy(targets, logits)
  return meanLoss(logits, targets, loss, (p, t) => {
    const others = tf.matMul(p, tf.sub(1, tf.eye(logits.shape[1])))
    return tf.sub(tf.mul(p, tf.sub(tf.sum(t, 1, true), t)), tf.mul(t, others))
  })
}

/**
 * Mean logistic cross-entropy in nats with targets that are any numbers: the mean of t1 ln(1 + e^-z) + t0 ln(1 + e^z).
 *
 * @param targets (B, 2) float32, at least 0: t0 and t1
 * @param logits (B, 1) float32, z
 * @returns a scalar; differentiated by the logits only
 */
export function softLogisticCrossEntropy(targets: tf.Tensor2D, logits: tf.Tensor2D): tf.Scalar {
  const parts = (t: tf.Tensor2D): [tf.Tensor2D, tf.Tensor2D] => [
    tf.slice2d(t, [0, 0], [-1, 1]),
    tf.slice2d(t, [0, 1], [-1, 1]),
  ]
  const loss = () => {
    const [t0, t1] = parts(targets)
    return tf.mean(tf.add(tf.mul(t1, tf.softplus(tf.neg(logits))), tf.mul(t0, tf.softplus(logits))))
  }
  return meanLoss(logits, targets, loss, (_, t, z) => {
    const [t0, t1] = parts(t)
    return tf.sub(tf.mul(t0, tf.sigmoid(z)), tf.mul(t1, tf.sigmoid(tf.neg(z))))
  })
}

/**
 * Mean cross-entropy that takes the softmax of probabilities, the softmax of the logits, once more, as published code of
 * sample-level mixtures does: at least ln(1 + (classes - 1)/e), 0.3133 for two classes, and bounded above.
 *
 * @param labels (B, classes) float32, 1 for the right class of each sample, else 0; or targets that are any numbers of at least 0
 * @param logits (B, classes) float32
 * @returns a scalar; differentiated by the logits only
 */
export function crossEntropyOfProbabilities(labels: tf.Tensor2D, logits: tf.Tensor2D): tf.Scalar {
  const loss = () => tf.losses.softmaxCrossEntropy(labels, tf.softmax(logits))
  return meanLoss(logits, labels, loss, (p, hot) => {
    // The derivative by each probability, less that by the probability of the right class: (B, classes).
    const whole = tf.sum(hot, 1, true)
    const derivative = tf.sub(tf.mul(tf.softmax(p), whole), hot)
    const excess = tf.sub(derivative, tf.div(tf.sum(tf.mul(derivative, hot), 1, true), whole))
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
 * @param derivative of each sample's loss by its logits, (B, classes), from its probabilities, labels and logits
 */
function meanLoss(
  logits: tf.Tensor2D,
  labels: tf.Tensor2D,
  loss: () => tf.Tensor,
  derivative: (probabilities: tf.Tensor2D, labels: tf.Tensor2D, logits: tf.Tensor2D) => tf.Tensor,
): tf.Scalar {
  return handGradient<tf.Scalar>([logits], () => ({
    value: tf.tidy(loss) as tf.Scalar,
    saved: [logits, labels],
    gradient: (dy, [z, hot]) => [
      tf.mul(
        derivative(tf.softmax(z as tf.Tensor2D), hot as tf.Tensor2D, z as tf.Tensor2D),
        tf.div(dy, logits.shape[0]),
      ),
    ],
  }))
}
