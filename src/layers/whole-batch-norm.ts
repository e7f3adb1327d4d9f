import * as tf from '@tensorflow/tfjs-core'
import { type DividedBatch, dividedBatch, momentsOfBatch, normSumsOfBatch } from './divided-batch.js'
import { handGradient } from './hand-gradient.js'
import type { BatchNormInputs, LayerOps, Moments } from './ops.js'

const made = new WeakMap<LayerOps, LayerOps>()

/**
 * Operations that normalize a divided batch with the statistics of all its parts: synchronised BatchNorm. Moments and their gradients are
 * added up over the processes; values and gradients are those of the whole batch to float32 rounding.
 */
export function wholeBatchOps(ops: LayerOps): LayerOps {
  const before = made.get(ops)
  if (before) return before
  // Groups of rows are normalized by operations of their own, which know nothing of other processes.
  const { groupNormalization: _, ...others } = ops
  const batchNorm = (inputs: BatchNormInputs): tf.Tensor => {
    const batch = dividedBatch()
    return batch ? wholeBatchNorm(ops, inputs, batch) : ops.batchNorm(inputs)
  }
  const whole: LayerOps = { ...others, batchNorm, batchNormRelu: inputs => ops.relu(batchNorm(inputs)) }
  made.set(ops, whole)
  return whole
}

function wholeBatchNorm(
  ops: LayerOps,
  { x, gamma, beta, epsilon, onMoments }: BatchNormInputs,
  batch: DividedBatch,
): tf.Tensor {
  const channels = x.shape.at(-1) as number
  const values = x.size / channels
  const asMap = (map: tf.Tensor) => tf.reshape<tf.Rank.R4>(map, [1, 1, values, channels])
  return handGradient([x, gamma, beta], () => {
    const { mean, variance } = momentsOfBatch(batch, momentsHere(ops, { x, gamma, beta, epsilon }))
    onMoments({ mean, variance })
    return {
      value: tf.reshape(tf.batchNorm4d(asMap(x), mean, variance, beta, gamma, epsilon), x.shape),
      saved: [x, gamma, mean, variance],
      gradient: (dy, saved) => {
        const [input, scale, centre, spread] = saved as [tf.Tensor, tf.Tensor1D, tf.Tensor1D, tf.Tensor1D]
        const dRows = asMap(dy)
        const normalized = tf.batchNorm4d(asMap(input), centre, spread, undefined, undefined, epsilon)
        const dBeta = ops.channelSums(dRows)
        const dGamma = ops.channelSums(tf.mul(dRows, normalized))
        const { dBeta: b, dGamma: g, count, counts } = normSumsOfBatch(dBeta, dGamma, values)
        const slope = tf.mul(scale, tf.rsqrt(tf.add(spread, epsilon))) as tf.Tensor1D
        // (x - mean) / deviation dGamma / n + dBeta / n, in one pass.
        const through = tf.batchNorm4d(
          asMap(input),
          centre,
          spread,
          tf.div<tf.Tensor1D>(b, count),
          tf.div<tf.Tensor1D>(g, count),
          epsilon,
        )
        const dx = tf.mul(tf.sub(dRows, through), tf.mul(slope, counts))
        return [tf.reshape(dx, x.shape), dGamma, dBeta]
      },
    }
  })
}

/** The moments of this part, as the backend computes them fastest: with the whole operation. */
function momentsHere(ops: LayerOps, inputs: Omit<BatchNormInputs, 'onMoments'>): Moments {
  return tf.tidy(() => {
    let moments: Moments | undefined
    ops.batchNorm({
      ...inputs,
      onMoments: ({ mean, variance }) => {
        moments = { mean: tf.keep(tf.clone(mean)), variance: tf.keep(tf.clone(variance)) }
      },
    })
    const { mean, variance } = moments as Moments
    // Kept beyond the scope of the operation, and freed with this one.
    const ofScope = { mean: tf.clone(mean), variance: tf.clone(variance) }
    tf.dispose([mean, variance])
    return ofScope
  })
}
