import * as tf from '@tensorflow/tfjs-core'
import type { CollectiveAddon } from '../backend/native/collective-addon.js'
import { type Attribute, nativeBackend, type OutputMetadata } from '../backend/tensorflow/operations.js'
import type { Cluster, WireType } from '../train/cluster/cluster.js'

/** How the sums of a cluster are computed. */
export interface CollectiveOptions extends Pick<Cluster, 'size'> {
  readonly addon: CollectiveAddon
  /** Turns TensorFlow's error into one that names the worker that is lost. */
  readonly explain: (error: Error) => Error
  /** How long the workers wait for each other in their first sum; seconds. */
  readonly firstTimeout: number
}

/** Two kinds of sums, each with keys of its own: they may be under way at the same time. */
type Lane = 'now' | 'started'

/** TensorFlow's number of the type bfloat16, which tfjs has not. */
const BFLOAT16 = 14

/** Sums over the workers by TensorFlow's CollectiveReduceV2. */
export class Collective implements Pick<Cluster, 'startAllReduce' | 'allReduce'> {
  private readonly scalars = new Map<number, tf.Scalar>()
  private isFirst = true
  /** Milliseconds that this worker has waited for sums. */
  waitedMs = 0

  private readonly options: CollectiveOptions

  constructor(options: CollectiveOptions) {
    this.options = options
  }

  allReduce(values: tf.Tensor1D, wire: WireType = 'float32'): tf.Tensor1D {
    const began = performance.now()
    try {
      return this.finished(this.reduced(values, wire, 'now'), wire)
    } catch (error) {
      throw this.options.explain(error as Error)
    } finally {
      this.waitedMs += performance.now() - began
    }
  }

  startAllReduce(values: tf.Tensor1D, wire: WireType = 'float32'): () => tf.Tensor1D {
    const { addon } = this.options
    let ticket = 0
    const placeholder = this.reduced(values, wire, 'started', () => {
      ticket = addon.handOver()
    })
    return () => {
      const began = performance.now()
      try {
        return this.finished(this.fetched(placeholder, ticket), wire)
      } catch (error) {
        throw this.options.explain(error as Error)
      } finally {
        this.waitedMs += performance.now() - began
      }
    }
  }

  /** The sum as a handle of TensorFlow's, or what stands for it until it is fetched. */
  private reduced(values: tf.Tensor1D, wire: WireType, lane: Lane, before?: () => void): OutputMetadata {
    const backend = nativeBackend()
    const [id] = backend.getInputTensorIds([values]) as [number]
    const scalars = backend.getInputTensorIds(this.keysOf(values.shape[0], wire, lane))
    const sent = wire === 'bfloat16' ? this.cast(id, backend.binding.TF_FLOAT, BFLOAT16).id : id
    const attributes = this.attributes(wire)
    try {
      before?.()
      const [sum] = backend.binding.executeOp('CollectiveReduceV2', attributes, [sent, ...scalars], 1)
      this.isFirst = false
      return sum as OutputMetadata
    } finally {
      if (sent !== id) backend.binding.deleteTensor(sent)
    }
  }

  private fetched(placeholder: OutputMetadata, ticket: number): OutputMetadata {
    const { binding } = nativeBackend()
    const type = { name: 'T', type: binding.TF_ATTR_TYPE, value: placeholder.dtype }
    this.options.addon.fetch(ticket)
    try {
      return binding.executeOp('Identity', [type], [placeholder.id], 1)[0] as OutputMetadata
    } finally {
      binding.deleteTensor(placeholder.id)
    }
  }

  private finished(sum: OutputMetadata, wire: WireType): tf.Tensor1D {
    const backend = nativeBackend()
    if (wire === 'float32') return backend.createOutputTensor(sum) as tf.Tensor1D
    try {
      return backend.createOutputTensor(this.cast(sum.id, BFLOAT16, backend.binding.TF_FLOAT)) as tf.Tensor1D
    } finally {
      backend.binding.deleteTensor(sum.id)
    }
  }

  private cast(id: number, from: number, to: number): OutputMetadata {
    const { binding } = nativeBackend()
    const attributes = [
      { name: 'SrcT', type: binding.TF_ATTR_TYPE, value: from },
      { name: 'DstT', type: binding.TF_ATTR_TYPE, value: to },
      { name: 'Truncate', type: binding.TF_ATTR_BOOL, value: false },
    ]
    return binding.executeOp('Cast', attributes, [id], 1)[0] as OutputMetadata
  }

  private attributes(wire: WireType): Attribute[] {
    const { binding, isUsingGpuDevice } = nativeBackend()
    const { TF_ATTR_TYPE, TF_ATTR_STRING, TF_ATTR_FLOAT, TF_ATTR_INT } = binding
    return [
      { name: 'T', type: TF_ATTR_TYPE, value: wire === 'bfloat16' ? BFLOAT16 : binding.TF_FLOAT },
      { name: 'merge_op', type: TF_ATTR_STRING, value: 'Add' },
      { name: 'final_op', type: TF_ATTR_STRING, value: 'Id' },
      { name: 'communication_hint', type: TF_ATTR_STRING, value: isUsingGpuDevice ? 'auto' : 'ring' },
      // Two threads sleep as long as a time-out lasts: later sums rely on the heartbeat alone.
      { name: 'timeout_seconds', type: TF_ATTR_FLOAT, value: this.isFirst ? this.options.firstTimeout : 0 },
      { name: 'Nordering_token', type: TF_ATTR_INT, value: 0 },
      { name: 'max_subdivs_per_device', type: TF_ATTR_INT, value: -1 },
    ]
  }

  /** The size of the group, its key, and that of the sum. */
  private keysOf(length: number, wire: WireType, lane: Lane): tf.Scalar[] {
    return [this.scalar(this.options.size), this.scalar(1), this.scalar(sumKey(length, wire, lane))]
  }

  private scalar(value: number): tf.Scalar {
    const kept = this.scalars.get(value) ?? tf.keep(tf.scalar(value, 'int32'))
    this.scalars.set(value, kept)
    return kept
  }
}

/**
 * The key of sums, an int32 for fewer than 2^29 values. TensorFlow keeps something for every key, and a key belongs to one length for
 * ever: sums of one length share one. It follows from the sum alone: workers may begin their first gradients and their first sums at
 * once in different orders.
 */
export function sumKey(length: number, wire: WireType, lane: Lane): number {
  return length * 4 + (wire === 'bfloat16' ? 2 : 0) + (lane === 'started' ? 1 : 0)
}
