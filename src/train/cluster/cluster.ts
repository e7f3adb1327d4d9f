import * as tf from '@tensorflow/tfjs-core'

/** The processes that take the steps of one training together, and which of them this one is. */
export interface Cluster {
  /** Workers, at least 1. */
  readonly size: number
  /** The rank of this worker, from 0; the first is the chief, which alone writes. */
  readonly index: number
  /** What computes here, for the check that it is the same everywhere: name to version. */
  readonly versions?: Readonly<Record<string, string>>
  /** What the workers are called in messages; `worker 1` unless given. */
  nameOf?(index: number): string
  /**
   * Begins to add the values of all workers up, element by element; all workers must call it in the same order with values of the same
   * length. Meanwhile this one may compute; sums come in the order in which they were begun.
   *
   * @param values (n) float32, disposed by the caller, at once if it likes
   * @param wire how values travel; float32 unless given
   * @returns waits for the sum, (n) float32, the same bits on all workers; to be called once
   * @throws Error naming the worker that is lost
   */
  startAllReduce(values: tf.Tensor1D, wire?: WireType): () => tf.Tensor1D
  /** {@link startAllReduce}, and waits; not in turn with those that are under way. */
  allReduce(values: tf.Tensor1D, wire?: WireType): tf.Tensor1D
}

/** Types in which gradients travel between workers. */
export const WIRE_TYPES = ['float32', 'bfloat16'] as const
export type WireType = (typeof WIRE_TYPES)[number]

/** The images of a batch that a worker takes: from `first` on, before `end`. */
export interface BatchPart {
  readonly first: number
  readonly end: number
  /**
   * Share of the batch, in [0, 1]. It is 0 where there are fewer images than workers: a worker without one takes the first, since all have
   * to take part in the step, and it counts for nothing.
   */
  readonly share: number
}

/** The part of a batch of so many images that each worker takes: consecutive images, as evenly as it goes. */
export function batchParts(images: number, size: number): readonly BatchPart[] {
  return Array.from({ length: size }, (_, index) => {
    const first = Math.floor((images * index) / size)
    const end = Math.floor((images * (index + 1)) / size)
    return first < end ? { first, end, share: (end - first) / images } : { first: 0, end: 1, share: 0 }
  })
}

/** The name of a worker in messages. */
export function workerName(cluster: Cluster, index: number): string {
  return cluster.nameOf?.(index) ?? `worker ${index}`
}

/**
 * The values of every worker.
 *
 * @param values (n) float32, as long on all workers; disposed by the caller
 * @returns (size, n) float32, one row a worker, exactly as they were
 */
export function gathered(cluster: Cluster, values: tf.Tensor1D): tf.Tensor2D {
  const { size, index } = cluster
  const rows = tf.tidy(() => {
    const length = values.shape[0]
    return tf.pad1d(values, [index * length, (size - 1 - index) * length])
  })
  // Zeros of the others change nothing.
  const sums = cluster.allReduce(rows)
  rows.dispose()
  const table = tf.reshape<tf.Rank.R2>(sums, [size, values.shape[0]])
  sums.dispose()
  return table
}

/**
 * Sums of numbers over the workers, to float32 rounding.
 *
 * @param numbers as many on all workers
 */
export async function summed(cluster: Cluster, numbers: readonly number[]): Promise<number[]> {
  const values = tf.tensor1d([...numbers], 'float32')
  const sums = cluster.allReduce(values)
  try {
    return [...(await sums.data())]
  } finally {
    tf.dispose([values, sums])
  }
}

/** One text of every worker, in the order of the workers. */
export async function gatheredTexts(cluster: Cluster, text: string): Promise<string[]> {
  const bytes = new TextEncoder().encode(text)
  const lengths = await read(gatheredOnce(cluster, Float32Array.of(bytes.length)))
  const longest = Math.max(1, ...lengths)
  const padded = new Float32Array(longest)
  padded.set(bytes)
  const rows = await read(gatheredOnce(cluster, padded))
  const decoder = new TextDecoder()
  return [...lengths].map((length, row) =>
    decoder.decode(Uint8Array.from(rows.subarray(row * longest, row * longest + length))),
  )
}

function gatheredOnce(cluster: Cluster, values: Float32Array): tf.Tensor2D {
  const tensor = tf.tensor1d(values)
  try {
    return gathered(cluster, tensor)
  } finally {
    tensor.dispose()
  }
}

async function read(tensor: tf.Tensor): Promise<Float32Array> {
  try {
    return (await tensor.data<'float32'>()).slice()
  } finally {
    tensor.dispose()
  }
}
