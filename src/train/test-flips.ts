import * as tf from '@tensorflow/tfjs-core'
import type { ClassifierLoss } from './loss.js'

/**
 * A classifier that sees each image twice, as it is and mirrored left to right, and says the mean of both probabilities:
 * p(x) = (p(x) + p(mirrored x)) / 2, as logits of it.
 *
 * @param classifier of images (B, H, W, C) that are read whole
 */
export function withTestFlips(classifier: ClassifierLoss): ClassifierLoss {
  return {
    ...classifier,
    logits: (x, training) =>
      tf.tidy(() => {
        const images = (Array.isArray(x) ? x[0] : x) as tf.Tensor
        const logits = [images, tf.reverse(images, 2)].map(view => classifier.logits(view, training))
        const sum = tf.logSumExp<tf.Tensor2D>(tf.stack(logits.map(classifier.logProbabilities)), 0)
        const mean = tf.sub<tf.Tensor2D>(sum, Math.LN2)
        if (logits[0]?.shape[1] !== 1) return mean
        // One logit is the difference of both logarithms.
        return tf.sub<tf.Tensor2D>(tf.slice2d(mean, [0, 1], [-1, 1]), tf.slice2d(mean, [0, 0], [-1, 1]))
      }),
  }
}
