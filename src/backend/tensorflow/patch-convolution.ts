import * as tf from '@tensorflow/tfjs-core'
import { layerOps, type PatchConvolution } from '../../layers/ops.js'
import type { Size2D } from '../../shapes.js'

/**
 * Every expert's convolution of its own patches as one batched matrix product, where TensorFlow would run a small
 * convolution an expert. A product gives what each pixel adds under every tap of the kernel; summing over taps is a
 * product with a matrix of zeros and ones, the same for every patch, and zeros around a patch are zeros in that matrix.
 */
export const patchConvolution: PatchConvolution = {
  suits: (windows, kernel, pad) => {
    const [height, width, channels, filters] = kernel.shape
    // The intermediate result, taps x F numbers a pixel, must not be much larger than the windows themselves.
    return (
      pad === 'same' && height * width > 1 && (height * width * filters) / windows.shape[0] <= 2 * channels
    )
  },

  forward(windows, filters, kernelSize) {
    return tf.tidy(() => {
      const { patches, pixels, taps, filtersEach } = sizesOf(windows, filters, kernelSize)
      const perTap = tf.matMul(pixelRows(windows), filters) // (K, M h w, T F)
      const sums = layerOps().exactly(() =>
        tf.matMul(tapSums(windows, kernelSize), tf.reshape(perTap, [patches, pixels * taps, filtersEach])),
      )
      return tf.reshape(sums, [windows.shape[0], -1, filtersEach])
    })
  },

  gradient(dOutputs, windows, filters, kernelSize) {
    const { patches, pixels, taps, filtersEach } = sizesOf(windows, filters, kernelSize)
    const dSums = tf.reshape(dOutputs, [patches, pixels, filtersEach])
    const dPerTap: tf.Tensor3D = tf.reshape(
      layerOps().exactly(() => tf.matMul(tapSums(windows, kernelSize), dSums, true, false)),
      [windows.shape[0], -1, taps * filtersEach],
    )
    return {
      dWindows: tf.reshape(tf.matMul(dPerTap, filters, false, true), windows.shape),
      dFilters: tf.matMul(pixelRows(windows), dPerTap, true, false),
    }
  },
}

/** The number of all kept patches K M, pixels of a patch, taps T of the kernel, filters F of each expert. */
function sizesOf(windows: tf.Tensor5D, filters: tf.Tensor3D, [kernelHeight, kernelWidth]: Size2D) {
  const [experts, patchesEach, height, width] = windows.shape
  const taps = kernelHeight * kernelWidth
  return {
    patches: experts * patchesEach,
    pixels: height * width,
    taps,
    filtersEach: filters.shape[2] / taps,
  }
}

/** (K, M h w, C). */
function pixelRows(windows: tf.Tensor5D): tf.Tensor3D {
  return tf.reshape(windows, [windows.shape[0], -1, windows.shape[4]])
}

/** (1, h w, h w T): 1 where the pixel of an output lies under the tap of a pixel of the patch. */
function tapSums(windows: tf.Tensor5D, [kernelHeight, kernelWidth]: Size2D): tf.Tensor3D {
  const [, , height, width] = windows.shape
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
