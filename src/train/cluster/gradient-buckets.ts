import * as tf from '@tensorflow/tfjs-core'
import type { Cluster, WireType } from './cluster.js'

/** Bytes of gradients that travel together: enough that they take longer than the message itself. */
const BUCKET_BYTES = 1 << 20

/** Weights whose gradients travel together. */
interface Bucket {
  readonly variables: readonly tf.Variable[]
  /** The gradients that are there already, by the number of the variable. */
  readonly ready: Map<number, tf.Tensor>
  /** Waits for the sums; undefined before the bucket was sent. */
  sums?: () => tf.Tensor1D
}

/**
 * The gradients of one step on their way to the other workers. Buckets follow the weights from the last to the first, as the backward
 * pass reaches them, and each is sent once its gradients and those of all buckets before it are there: the order is the same on all
 * workers, whatever each of them computes first.
 */
export class GradientBuckets {
  private readonly buckets: readonly Bucket[]
  private readonly byVariable = new Map<number, Bucket>()
  private sent = 0
  private readonly cluster: Cluster
  private readonly wire: WireType

  constructor(cluster: Cluster, variables: readonly tf.Variable[], wire: WireType, bytes = BUCKET_BYTES) {
    this.cluster = cluster
    this.wire = wire
    this.buckets = bucketsOf(variables, bytes).map(each => ({ variables: each, ready: new Map() }))
    for (const bucket of this.buckets) {
      for (const { id } of bucket.variables) this.byVariable.set(id, bucket)
    }
  }

  /**
   * Has every gradient sent as soon as the backward pass has it. To be called where {@link releaseEarly} is; gradients of weights that
   * several operations use are sums, which are known at the end alone.
   */
  listen(): void {
    const tape = tf.engine().state.activeTape ?? []
    const uses = new Map<number, number>()
    for (const { inputs } of tape) {
      for (const { id } of Object.values(inputs)) uses.set(id, (uses.get(id) ?? 0) + 1)
    }
    for (const node of tape) {
      const { gradient, inputs } = node
      const awaited = Object.entries(inputs).filter(
        ([, { id }]) => uses.get(id) === 1 && this.byVariable.has(id),
      )
      if (!gradient || awaited.length === 0) continue
      node.gradient = dys => {
        const derivatives = gradient(dys)
        for (const [name, { id }] of awaited) {
          const compute = derivatives[name]
          if (compute) derivatives[name] = () => this.offer(id, compute())
        }
        return derivatives
      }
    }
  }

  private offer(id: number, gradient: tf.Tensor): tf.Tensor {
    this.byVariable.get(id)?.ready.set(id, gradient)
    this.sendReady()
    return gradient
  }

  private sendReady(): void {
    for (let bucket = this.buckets[this.sent]; bucket; bucket = this.buckets[this.sent]) {
      if (bucket.ready.size < bucket.variables.length) return
      this.send(bucket)
    }
  }

  private send(bucket: Bucket): void {
    const { variables, ready } = bucket
    const flat = tf.tidy(() => {
      const parts = variables.map(({ id, size }) => flattened(ready.get(id), size))
      return parts.length === 1 ? tf.clone(parts[0] as tf.Tensor1D) : tf.concat1d(parts)
    })
    bucket.sums = this.cluster.startAllReduce(flat, this.wire)
    flat.dispose()
    ready.clear()
    this.sent++
  }

  /**
   * Sends what was not sent yet, and waits for all sums.
   *
   * @param gradients of this worker, by the names of the weights; a weight without one has none afterwards either
   * @returns the sums
   */
  finish(gradients: tf.NamedTensorMap): tf.NamedTensorMap {
    for (const bucket of this.buckets.slice(this.sent)) {
      for (const { id, name } of bucket.variables) {
        const gradient = gradients[name]
        if (gradient) bucket.ready.set(id, gradient)
      }
      this.send(bucket)
    }
    const sums: tf.NamedTensorMap = {}
    for (const { variables, sums: wait } of this.buckets) {
      const flat = (wait as () => tf.Tensor1D)()
      const parts =
        variables.length === 1
          ? [flat]
          : tf.split(
              flat,
              variables.map(({ size }) => size),
            )
      for (const [i, { name, shape }] of variables.entries()) {
        if (gradients[name]) sums[name] = tf.reshape(parts[i] as tf.Tensor, shape)
      }
    }
    return sums
  }
}

/** The weights from the last to the first, in buckets of at least so many bytes each but the last. */
function bucketsOf(variables: readonly tf.Variable[], bytes: number): tf.Variable[][] {
  const buckets: tf.Variable[][] = []
  let filled = bytes
  for (const variable of [...variables].reverse()) {
    if (filled >= bytes) {
      buckets.push([])
      filled = 0
    }
    buckets.at(-1)?.push(variable)
    filled += variable.size * 4
  }
  return buckets
}

function flattened(gradient: tf.Tensor | undefined, size: number): tf.Tensor1D {
  return gradient ? tf.reshape<tf.Rank.R1>(gradient, [size]) : tf.zeros<tf.Rank.R1>([size])
}
