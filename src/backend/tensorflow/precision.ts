import { registerLayerOps } from '../../layers/ops.js'
import { Bfloat16Storage } from './bfloat16.js'
import { nativeBackend } from './operations.js'

/** Types that convolutions and products are computed in and feature maps are kept in; everything else is float32. */
export const PRECISIONS = ['float32', 'bf16'] as const
export type Precision = (typeof PRECISIONS)[number]

let storage: Bfloat16Storage | undefined

/**
 * Has native TensorFlow compute convolutions and matrix products in bfloat16 (8 bits of mantissa, the range of float32)
 * and keep feature maps and their derivatives in it, or all of it in float32 again. Products are summed in float32;
 * weights, derivatives by weights, BatchNorm's statistics, loss, optimizer and the routers' scores are float32.
 */
export function setPrecision(precision: Precision): void {
  if ((precision === 'bf16') === (storage !== undefined)) return
  if (storage) {
    storage.remove()
    storage = undefined
    registerLayerOps('tensorflow', { exactly: compute => compute() })
  } else {
    const reduced = new Bfloat16Storage(nativeBackend())
    storage = reduced
    registerLayerOps('tensorflow', { exactly: compute => reduced.exactly(compute) })
  }
}

let isBfloat16Wrong = false

/** Notes that this machine computes wrong numbers in bfloat16. */
export function distrustBfloat16(): void {
  isBfloat16Wrong = true
}

/** Whether bfloat16 is right, as far as is known. */
export function trustsBfloat16(): boolean {
  return !isBfloat16Wrong
}

/** What {@link setPrecision} was last called with; float32 before that. */
export function currentPrecision(): Precision {
  return storage ? 'bf16' : 'float32'
}

/** Tensors that are kept in bfloat16 now, and bfloat16 copies of float32 tensors: neither may grow from step to step. */
export function bfloat16Memory(): { readonly stored: number; readonly copies: number } {
  return { stored: storage?.numStored ?? 0, copies: storage?.numCopies ?? 0 }
}
