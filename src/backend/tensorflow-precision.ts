import type * as tf from '@tensorflow/tfjs'
import { registerLayerOps } from '../layers/ops.js'
import {
  type Attribute,
  type NativeBackend,
  nativeBackend,
  type OutputMetadata,
} from './tensorflow-operations.js'

/** In what convolutions and matrix products are computed; everything else is float32. */
export const PRECISIONS = ['float32', 'bf16'] as const
export type Precision = (typeof PRECISIONS)[number]

/** TensorFlow's numbers of the two types. */
const FLOAT = 1
const BFLOAT16 = 14

/** The operations that are computed in bfloat16, and which of their inputs are the factors. */
const REDUCED: ReadonlyMap<string, readonly number[]> = new Map([
  ['Conv2D', [0, 1]],
  ['Conv2DBackpropInput', [1, 2]],
  ['Conv2DBackpropFilter', [0, 2]],
  ['BatchMatMulV2', [0, 1]],
])

let reduced: ReducedProducts | undefined

/**
 * Computes convolutions and matrix products of native TensorFlow in bfloat16 (8 bits of mantissa, the range of float32),
 * or in float32 again. Factors are rounded to bfloat16; products are summed in float32 and results are float32, as are
 * weights, BatchNorm, loss, optimizer and the routers' scores.
 */
export function setPrecision(precision: Precision): void {
  if ((precision === 'bf16') === (reduced !== undefined)) return
  if (reduced) {
    reduced.remove()
    reduced = undefined
  } else {
    reduced = new ReducedProducts(nativeBackend())
  }
}

/** Stands in for two methods of the backend while products are reduced. */
class ReducedProducts {
  private readonly backend: NativeBackend
  /** Id of the bfloat16 copy by the id of the float32 tensor: activations and derivatives are used two or three times. */
  private readonly copies = new Map<number, number>()
  private exact = 0

  constructor(backend: NativeBackend) {
    this.backend = backend
    const { executeSingleOutput, disposeData } = backend
    backend.executeSingleOutput = (name, attributes, inputs) =>
      this.execute(name, attributes, inputs) ?? executeSingleOutput.call(backend, name, attributes, inputs)
    backend.disposeData = (dataId, force = false) => {
      this.forget(dataId, force)
      return disposeData.call(backend, dataId, force)
    }
    registerLayerOps('tensorflow', { exactly: compute => this.exactly(compute) })
  }

  /** Gives the backend its own methods back, which its prototype holds. */
  remove(): void {
    for (const copy of this.copies.values()) this.backend.binding.deleteTensor(copy)
    Reflect.deleteProperty(this.backend, 'executeSingleOutput')
    Reflect.deleteProperty(this.backend, 'disposeData')
    registerLayerOps('tensorflow', { exactly: compute => compute() })
  }

  private exactly<T>(compute: () => T): T {
    this.exact++
    try {
      return compute()
    } finally {
      this.exact--
    }
  }

  /** The result of a reduced operation as float32; undefined for all others. */
  private execute(name: string, attributes: Attribute[], inputs: tf.Tensor[]): tf.Tensor | undefined {
    const factors = REDUCED.get(name)
    if (!factors || this.exact > 0 || factors.some(at => inputs[at]?.dtype !== 'float32')) return undefined
    const { binding } = this.backend
    const ids = this.backend
      .getInputTensorIds(inputs)
      .map((id, at) => (factors.includes(at) ? this.copyOf(id) : id))
    const types = attributes.map(one => (one.name === 'T' ? { ...one, value: BFLOAT16 } : one))
    const { id } = binding.executeOp(name, types, ids, 1)[0] as OutputMetadata
    const result = this.cast(id, BFLOAT16, FLOAT)
    binding.deleteTensor(id)
    return this.backend.createOutputTensor(result)
  }

  private copyOf(id: number): number {
    const known = this.copies.get(id)
    if (known !== undefined) return known
    const copy = this.cast(id, FLOAT, BFLOAT16).id
    this.copies.set(id, copy)
    return copy
  }

  /** Frees the copy of a tensor that is about to be freed. */
  private forget(dataId: object, force: boolean): void {
    const { tensorMap, binding } = this.backend
    if (!tensorMap.has(dataId)) return
    const { id, refCount } = tensorMap.get(dataId)
    const copy = this.copies.get(id)
    if (copy === undefined || (refCount > 1 && !force)) return
    this.copies.delete(id)
    binding.deleteTensor(copy)
  }

  private cast(id: number, from: number, to: number): OutputMetadata {
    const { TF_ATTR_TYPE, TF_ATTR_BOOL } = this.backend.binding
    const attributes = [
      { name: 'SrcT', type: TF_ATTR_TYPE, value: from },
      { name: 'DstT', type: TF_ATTR_TYPE, value: to },
      { name: 'Truncate', type: TF_ATTR_BOOL, value: false },
    ]
    return this.backend.binding.executeOp('Cast', attributes, [id], 1)[0] as OutputMetadata
  }
}
