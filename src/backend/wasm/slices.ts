import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm'
import * as tf from '@tensorflow/tfjs-core'
import { wrapKernel } from '../corrections/wrapped-kernel.js'

/**
 * Replaces the backend `wasm`'s slice where what is taken lies in one piece: tfjs's own copies the whole tensor first, so
 * that taking a tensor apart into n pieces copies it n times.
 */
export function registerWasmSlices(): void {
  wrapKernel('wasm', tf.Slice, original => args => {
    const x = args.inputs.x as tf.Tensor
    const { begin, size } = args.attrs as unknown as tf.SliceAttrs
    const [first, sides] = tf.slice_util.parseSliceParams(x, begin, size) as [number[], number[]]
    if (x.dtype === 'string' || !tf.slice_util.isSliceContinous(x.shape, first, sides)) return original(args)
    const backend = args.backend as BackendWasm
    const piece = backend.makeOutput(sides, x.dtype)
    const offset = tf.slice_util.computeFlatOffset(first, tf.util.computeStrides(x.shape))
    // After makeOutput: memory that grows moves to another buffer.
    const values = backend.typedArrayFromHeap(x)
    backend
      .typedArrayFromHeap(piece)
      .set(values.subarray(offset, offset + tf.util.sizeFromShape(sides)) as never)
    return piece
  })
}
