import * as tf from '@tensorflow/tfjs'
import { layerOps, type PatchConvolution } from '../layers/ops.js'

/**
 * Every expert's convolution of its own patches as one batched matrix product, where TensorFlow would run a small
 * convolution an expert. A product gives what each pixel adds under every tap of the kernel; summing over taps is a
 * product with a matrix of zeros and ones, the same for every patch, and zeros around a patch are zeros in that matrix.
 */
export const patchConvolution: PatchConvolution = {
  suits: (windows, kernel) => {
    const [height, width, channels, filters] = kernel.shape
    // What is made on the way, taps x F numbers a pixel, is to stay comparable with the windows themselves.
    return height * width > 1 && (height * width * filters) / windows.shape[0] <= 2 * channels
  },

  forward(windows, kernel) {
    return tf.tidy(() => {
      const { experts, patches, pixels, taps, filters } = sizesOf(windows, kernel)
      const perTap = tf.matMul(pixelRows(windows), tapsPerExpert(kernel, experts)) // (K, M h w, T F)
      const sums = layerOps().exactly(() =>
        tf.matMul(tapSums(windows, kernel), tf.reshape(perTap, [patches, pixels * taps, filters])),
      )
      return tf.reshape(sums, [experts, -1, filters])
    })
  },

  gradient(dOutputs, windows, kernel) {
    const { experts, patches, pixels, taps, filters } = sizesOf(windows, kernel)
    const dSums = tf.reshape(dOutputs, [patches, pixels, filters])
    const dPerTap = tf.reshape(
      layerOps().exactly(() => tf.matMul(tapSums(windows, kernel), dSums, true, false)),
      [experts, -1, taps * filters],
    ) as tf.Tensor3D
    const dWindows = tf.matMul(dPerTap, tapsPerExpert(kernel, experts), false, true)
    const dTaps = tf.matMul(pixelRows(windows), dPerTap, true, false) // (K, C, T F)
    const dKernel = tf.transpose(tf.reshape(dTaps, [experts, -1, taps, filters]), [2, 1, 0, 3])
    return {
      dWindows: tf.reshape(dWindows, windows.shape),
      dKernel: tf.reshape(dKernel, kernel.shape),
    }
  },
}

/** K, the number of all kept patches K M, pixels of a patch, taps T of the kernel, F. */
function sizesOf(windows: tf.Tensor5D, kernel: tf.Tensor4D) {
  const [experts, kept, height, width] = windows.shape
  const taps = kernel.shape[0] * kernel.shape[1]
  return {
    experts,
    patches: experts * kept,
    pixels: height * width,
    taps,
    filters: kernel.shape[3] / experts,
  }
}

/** (K, M h w, C). */
function pixelRows(windows: tf.Tensor5D): tf.Tensor3D {
  return tf.reshape(windows, [windows.shape[0], -1, windows.shape[4]])
}

/** (kh,kw,C,K F) -> (K, C, T F). */
function tapsPerExpert(kernel: tf.Tensor4D, experts: number): tf.Tensor3D {
  const [height, width, channels, filters] = kernel.shape
  const taps = tf.reshape(kernel, [height * width, channels, experts, filters / experts])
  return tf.reshape(tf.transpose(taps, [2, 1, 0, 3]), [experts, channels, -1])
}

/** (1, h w, h w T): 1 where the pixel of an output lies under the tap of a pixel of the patch. */
function tapSums(windows: tf.Tensor5D, kernel: tf.Tensor4D): tf.Tensor3D {
  const [, , height, width] = windows.shape
  const [kernelHeight, kernelWidth] = kernel.shape
  const [above, left] = [(kernelHeight - 1) >> 1, (kernelWidth - 1) >> 1]
  const taps = kernelHeight * kernelWidth
  const pixels = height * width
  const sums = new Float32Array(pixels * pixels * taps)
  for (let output = 0; output < pixels; output++) {
    for (let tap = 0; tap < taps; tap++) {
      const y = Math.floor(output / width) + Math.floor(tap / kernelWidth) - above
      const x = (output % width) + (tap % kernelWidth) - left
      if (y < 0 || y >= height || x < 0 || x >= width) continue
      sums[(output * pixels + y * width + x) * taps + tap] = 1
    }
  }
  return tf.tensor3d(sums, [1, pixels, pixels * taps])
}
