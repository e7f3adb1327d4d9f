import * as tf from '@tensorflow/tfjs-core'

/*
 * Banks of filters that are summed: q outputs of J filters each, every filter an activation of an inner product with a
 * patch, summed over the P patches of a sample and over the J filters of an output. Several banks are computed side by
 * side. Letters: G banks, S samples of a bank, d numbers of a patch (h w C).
 */

/** An activation of one number, and its derivative. */
interface FilterActivation {
  apply(z: tf.Tensor): tf.Tensor
  /** a'(z) factor, where numbers may share a factor. */
  slope(z: tf.Tensor, factor: tf.Tensor): tf.Tensor
}

const activations = {
  /** z^3. */
  cubic: {
    apply: z => tf.mul(tf.mul(z, z), z),
    slope: (z, factor) => tf.mul(tf.mul(z, z), tf.mul(factor, 3)),
  },
  /** z. */
  linear: { apply: z => z, slope: (z, factor) => tf.broadcastTo(factor, z.shape) },
  /** max(z, 0). */
  relu: { apply: z => tf.relu(z), slope: (z, factor) => tf.mul(tf.step(z), factor) },
} as const satisfies Readonly<Record<string, FilterActivation>>

/** What filters do to their inner products. */
export type BankActivation = keyof typeof activations
export const BANK_ACTIVATIONS = Object.keys(activations) as readonly BankActivation[]

/** Sizes of banks of filters. */
export interface BankSizes {
  /** P. */
  readonly patches: number
  /** q. */
  readonly outputs: number
  /** J; filter j of output o stands at o J + j. */
  readonly filtersPerOutput: number
  readonly activation: BankActivation
}

/** The weights of banks. */
export interface BankWeights {
  /** (G,d,q J). */
  readonly kernel: tf.Tensor3D
  /** (G,1,q J). */
  readonly bias?: tf.Tensor3D | undefined
}

/**
 * @param x (G,S P,d) patches, sample by sample
 * @returns `sums` (G,S,q), and `linear` (G,S P,q J), the inner products that the gradient needs
 */
export function bankSums(
  x: tf.Tensor3D,
  { kernel, bias }: BankWeights,
  { patches, outputs, filtersPerOutput, activation }: BankSizes,
): { readonly sums: tf.Tensor3D; readonly linear: tf.Tensor3D } {
  const products = tf.matMul(x, kernel)
  const linear = (bias ? tf.add(products, bias) : products) as tf.Tensor3D
  const active = (activations[activation] as FilterActivation).apply(linear)
  const [banks, rows] = linear.shape
  // One axis after the other: summed at once they would be transposed first.
  const ofPatches = tf.sum(tf.reshape(active, [banks * rows, outputs, filtersPerOutput]), 2)
  const sums = tf.sum(tf.reshape(ofPatches, [(banks * rows) / patches, patches, outputs]), 1)
  return { sums: tf.reshape(sums, [banks, rows / patches, outputs]), linear }
}

/** Derivatives by the inputs and weights of banks. */
export interface BankGradients {
  /** (G,S P,d). */
  readonly dx: () => tf.Tensor3D
  /** (G,d,q J). */
  readonly kernel: tf.Tensor3D
  /** (G,1,q J). */
  readonly bias: () => tf.Tensor3D
}

/**
 * The gradient of {@link bankSums}.
 *
 * @param dSums (G,S,q)
 */
export function bankGradients(
  dSums: tf.Tensor3D,
  x: tf.Tensor3D,
  linear: tf.Tensor3D,
  kernel: tf.Tensor3D,
  { patches, outputs, filtersPerOutput, activation }: BankSizes,
): BankGradients {
  const perFilter: tf.Tensor4D = tf.reshape(dSums, [-1, 1, outputs, 1])
  const perSample: tf.Tensor4D = tf.reshape(linear, [-1, patches, outputs, filtersPerOutput])
  const dLinear: tf.Tensor3D = tf.reshape(
    (activations[activation] as FilterActivation).slope(perSample, perFilter),
    linear.shape,
  )
  return {
    dx: () => tf.matMul(dLinear, kernel, false, true),
    kernel: tf.matMul(x, dLinear, true, false),
    bias: () => tf.sum(dLinear, 1, true),
  }
}
