import * as tf from '@tensorflow/tfjs-core'

/**
 * A batch that several processes compute together, each a part of its images: what is a mean over the batch has to be taken over all
 * parts.
 */
export interface DividedBatch {
  /** Share of the images that each process has; the sum is 1. */
  readonly shares: readonly number[]
  /** Which of them is this one's; it may be 0, where the one image that it computes counts for nothing. */
  readonly index: number
  /** Images of the whole batch, and those that are computed here. */
  readonly images: number
  readonly imagesHere: number
  /** Whether normalization takes the statistics of the whole batch; else of the part. */
  readonly normalizesWhole: boolean
  /**
   * Sums over the processes, element by element.
   *
   * @param values (n) float32
   */
  sum(values: tf.Tensor1D): tf.Tensor1D
  /**
   * The values of all processes, (processes, n).
   *
   * @param values (n) float32
   */
  gather(values: tf.Tensor1D): tf.Tensor2D
}

let current: DividedBatch | undefined

/** The batch that is divided now; undefined where a batch is whole. */
export function dividedBatch(): DividedBatch | undefined {
  return current
}

/** Computes something on this process's part of a batch. */
export function withDividedBatch<T>(batch: DividedBatch, compute: () => T): T {
  const before = current
  current = batch
  try {
    return compute()
  } finally {
    current = before
  }
}

/**
 * The mean over the whole batch of what is a mean over the images of each part.
 *
 * @param mean of any shape, over the images that are computed here
 */
export function meanOfBatch<T extends tf.Tensor>(mean: T): T {
  const batch = current
  if (!batch) return mean
  return tf.tidy(() => {
    const share = batch.shares[batch.index] as number
    const sum = batch.sum(tf.mul(tf.reshape(mean, [-1]), share) as tf.Tensor1D)
    return tf.reshape(sum, mean.shape) as unknown as T
  })
}

/**
 * Mean and biased variance over the whole batch, from those over each part: with shares s, means m and variances v of the parts,
 *
 *     M = sum of s m,   V = sum of s (v + (m - M)^2)
 *
 * which no difference of large numbers enters (Chan, Golub and LeVeque, 1983).
 *
 * @param moments of any one shape, over the images that are computed here
 */
export function momentsOfBatch<T extends tf.Tensor>(
  { shares, gather }: DividedBatch,
  { mean, variance }: { readonly mean: T; readonly variance: T },
): { readonly mean: T; readonly variance: T } {
  return tf.tidy(() => {
    const flat = tf.concat1d([tf.reshape(mean, [-1]), tf.reshape(variance, [-1])])
    const parts = tf.reshape(gather(flat), [shares.length, 2, mean.size])
    const [means, variances] = tf.unstack(parts, 1) as [tf.Tensor2D, tf.Tensor2D]
    const weights = tf.tensor2d([...shares], [shares.length, 1])
    const centre = tf.sum(tf.mul(means, weights), 0)
    const spread = tf.add(variances, tf.square(tf.sub(means, centre)))
    const ofShape = (values: tf.Tensor) => tf.reshape(values, mean.shape) as unknown as T
    return { mean: ofShape(centre), variance: ofShape(tf.sum(tf.mul(spread, weights), 0)) }
  })
}

/** What the backward pass of a normalization needs of the whole batch. */
export interface NormSums<T extends tf.Tensor> {
  /** Sums of the derivatives by beta and gamma over all parts. */
  readonly dBeta: T
  readonly dGamma: T
  /** Values that each statistic was taken over, of all parts. */
  readonly count: number
  /** 0 where this part counts for nothing, else 1. */
  readonly counts: 0 | 1
}

/**
 * The sums over the whole batch of what each part derives by gamma and beta; those of the part itself where batches are normalized part by
 * part.
 *
 * @param count values that each statistic of this part was taken over
 */
export function normSumsOfBatch<T extends tf.Tensor>(dBeta: T, dGamma: T, count: number): NormSums<T> {
  const batch = current
  if (!batch?.normalizesWhole) return { dBeta, dGamma, count, counts: 1 }
  const { sum, images, imagesHere, shares, index } = batch
  const [ofBeta, ofGamma] = tf.tidy(() => {
    const sums = sum(tf.concat1d([tf.reshape(dBeta, [-1]), tf.reshape(dGamma, [-1])]))
    return tf.split(sums, 2).map(half => tf.reshape(half, dBeta.shape)) as unknown as [T, T]
  })
  return {
    dBeta: ofBeta,
    dGamma: ofGamma,
    count: (count / imagesHere) * images,
    counts: shares[index] === 0 ? 0 : 1,
  }
}
