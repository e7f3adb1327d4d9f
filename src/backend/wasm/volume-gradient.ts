import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm'
import * as tf from '@tensorflow/tfjs-core'

/*
 * The derivative of a convolution of volumes by its input. The kernel that tfjs's wasm backend brings (4.22) gives wrong numbers,
 * with a stride always and without one for many inputs.
 */

type ConvInfo = tf.backend_util.Conv3DInfo
type Shape5D = [number, number, number, number, number]

/** What tfjs hands to the gradient kernel. */
interface VolumeGradientAttrs {
  readonly strides: [number, number, number] | number
  readonly pad: 'valid' | 'same'
  readonly inputShape: Shape5D
}

/** Replaces the derivative of a convolution of volumes by its input on the backend `wasm`. */
export function registerWasmVolumeGradient(): void {
  tf.unregisterKernel(tf.Conv3DBackpropInputV2, 'wasm')
  tf.registerKernel({
    kernelName: tf.Conv3DBackpropInputV2,
    backendName: 'wasm',
    kernelFunc: ({ inputs, attrs, backend }) => {
      const { strides, pad, inputShape } = attrs as unknown as VolumeGradientAttrs
      const filter = inputs.filter as tf.Tensor5D
      const conv = tf.backend_util.computeConv3DInfo(inputShape, filter.shape, strides, 1, pad)
      const wasm = backend as BackendWasm
      const dx = wasm.makeOutput(inputShape, 'float32')
      // Views are taken after makeOutput: memory that grows moves to another buffer.
      const [values, dy, weights] = [dx, inputs.dy as tf.Tensor, filter].map(
        tensor => wasm.typedArrayFromHeap(tensor) as Float32Array,
      ) as [Float32Array, Float32Array, Float32Array]
      values.fill(0)
      forEachTap(conv, (input, output, tap) => addPixel(values, dy, weights, { input, output, tap, conv }))
      return dx
    },
  })
}

/** Calls `visit` for each pixel of the output and each tap whose input lies in the volume, with their numbers. */
function forEachTap(conv: ConvInfo, visit: (input: number, output: number, tap: number) => void): void {
  const { batchSize, inDepth, inHeight, inWidth, outDepth, outHeight, outWidth, padInfo } = conv
  const { filterDepth, filterHeight, filterWidth, strideDepth, strideHeight, strideWidth } = conv
  for (let output = 0; output < batchSize * outDepth * outHeight * outWidth; output++) {
    const column = output % outWidth
    const row = Math.floor(output / outWidth) % outHeight
    const slice = Math.floor(output / (outWidth * outHeight)) % outDepth
    const image = Math.floor(output / (outWidth * outHeight * outDepth))
    for (let tap = 0; tap < filterDepth * filterHeight * filterWidth; tap++) {
      const z = slice * strideDepth + Math.floor(tap / (filterHeight * filterWidth)) - padInfo.front
      const y = row * strideHeight + (Math.floor(tap / filterWidth) % filterHeight) - padInfo.top
      const x = column * strideWidth + (tap % filterWidth) - padInfo.left
      if (z < 0 || z >= inDepth || y < 0 || y >= inHeight || x < 0 || x >= inWidth) continue
      visit(((image * inDepth + z) * inHeight + y) * inWidth + x, output, tap)
    }
  }
}

/** A pixel of the input, one of the output and the tap between them, by their numbers. */
interface Contact {
  readonly input: number
  readonly output: number
  readonly tap: number
  readonly conv: ConvInfo
}

function addPixel(dx: Float32Array, dy: Float32Array, filter: Float32Array, contact: Contact): void {
  const { inChannels, outChannels } = contact.conv
  for (let channel = 0; channel < inChannels; channel++) {
    const weights = (contact.tap * inChannels + channel) * outChannels
    const at = contact.input * inChannels + channel
    let sum = 0
    for (let out = 0; out < outChannels; out++)
      sum += (dy[contact.output * outChannels + out] as number) * (filter[weights + out] as number)
    dx[at] = (dx[at] as number) + sum
  }
}
