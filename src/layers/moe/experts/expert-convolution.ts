import * as tf from '@tensorflow/tfjs-core'
import type { Size2D } from '../../../shapes.js'
import { inputGradient, kernelGradient } from '../../convolution-gradients.js'
import { layerOps, type PatchConvolution } from '../../ops.js'

/** What an expert's convolution sees past its patch: zeros, or the true neighbours in the map. */
export const BORDERS = ['zero', 'halo'] as const
export type Border = (typeof BORDERS)[number]

/**
 * Every expert convolves its own windows with its own filters, stride 1: channels [s F, (s+1) F) of the kernel belong
 * to expert s.
 *
 * @param windows (K, M, window height, window width, C) float32, M = B L
 * @param kernel (kh,kw,C,K F) float32
 * @returns outputs (K, P, F), P = M h w; and the filters as {@link filtersPerExpert} sorts them, where they were needed,
 *   for the backward pass
 */
export function expertConvolution(
  windows: tf.Tensor5D,
  kernel: tf.Tensor4D,
  border: Border,
): { outputs: tf.Tensor3D; filters: tf.Tensor3D | undefined } {
  const experts = windows.shape[0]
  const products = asProducts(windows, kernel, border)
  if (products) {
    const filters = filtersPerExpert(kernel, experts)
    return { outputs: products.forward(windows, filters, kernelSizeOf(kernel), paddingOf(border)), filters }
  }
  const filtersEach = kernel.shape[3] / experts
  const outputs = unstackExperts(windows).map((patches, s) =>
    tf.conv2d(patches, kernelOf(kernel, s, filtersEach), 1, paddingOf(border)),
  )
  return { outputs: tf.reshape(tf.stack(outputs), [experts, -1, filtersEach]), filters: undefined }
}

/**
 * {@link expertConvolution} with a kernel that stays as it is: sorted by expert once, whatever is convolved.
 *
 * @returns a function from windows (K, M, window height, window width, C) to (K, M, h, w, F); the sorted kernel is kept
 *   until `dispose` is called
 */
export function frozenExpertConvolution(
  kernel: tf.Tensor4D,
  experts: number,
  padding: 'same' | 'valid',
): { convolve(windows: tf.Tensor5D): tf.Tensor; dispose(): void } {
  const border = padding === 'same' ? 'zero' : 'halo'
  const filtersEach = kernel.shape[3] / experts
  const kernels = Array.from({ length: experts }, (_, s) => tf.keep(kernelOf(kernel, s, filtersEach)))
  let filters: tf.Tensor3D | undefined
  return {
    convolve(windows) {
      const products = asProducts(windows, kernel, border)
      if (!products) {
        return tf.stack(
          unstackExperts(windows).map((patches, s) => tf.conv2d(patches, kernels[s]!, 1, padding)),
        )
      }
      filters ??= tf.keep(filtersPerExpert(kernel, experts))
      const outputs = products.forward(windows, filters, kernelSizeOf(kernel), padding)
      return tf.reshape(outputs, [
        ...windows.shape.slice(0, 2),
        ...outputSize(windows, kernel, padding),
        filtersEach,
      ])
    },
    dispose: () => tf.dispose([...kernels, ...(filters ? [filters] : [])]),
  }
}

/**
 * The gradient of {@link expertConvolution}.
 *
 * @param dOutputs (K, P, F)
 * @param filters as {@link expertConvolution} returned them
 * @returns derivatives by the windows and by the kernel, in their shapes
 */
export function expertConvolutionGradient(
  dOutputs: tf.Tensor3D,
  windows: tf.Tensor5D,
  kernel: tf.Tensor4D,
  filters: tf.Tensor3D | undefined,
  border: Border,
  patch: Size2D,
): { dWindows: tf.Tensor5D; dKernel: tf.Tensor4D } {
  const products = filters && asProducts(windows, kernel, border)
  if (products) {
    const gradients = products.gradient(dOutputs, windows, filters, kernelSizeOf(kernel), paddingOf(border))
    return { dWindows: gradients.dWindows, dKernel: kernelOfExperts(gradients.dFilters, kernel.shape) }
  }
  const [experts, numWindows] = windows.shape
  const filtersEach = dOutputs.shape[2]
  const pad = paddingOf(border)
  const dMaps = tf.unstack(
    tf.reshape(dOutputs, [experts, numWindows, ...patch, filtersEach]),
  ) as tf.Tensor4D[]
  const inputs = unstackExperts(windows)
  const dInputs = dMaps.map((dy, s) =>
    inputGradient(dy, kernelOf(kernel, s, filtersEach), (inputs[s] as tf.Tensor4D).shape, [1, 1], pad),
  )
  const dKernels = dMaps.map((dy, s) =>
    kernelGradient(inputs[s] as tf.Tensor4D, dy, [...kernel.shape.slice(0, 3), filtersEach], [1, 1], pad),
  )
  return { dWindows: tf.stack(dInputs) as tf.Tensor5D, dKernel: tf.concat(dKernels, 3) }
}

/** The filters of each expert, tap by tap: (kh,kw,C,K F) -> (K, C, kh kw F). */
export function filtersPerExpert(kernel: tf.Tensor4D, experts: number): tf.Tensor3D {
  const [height, width, channels, filters] = kernel.shape
  const taps = tf.reshape(kernel, [height * width, channels, experts, filters / experts])
  return tf.reshape(tf.transpose(taps, [2, 1, 0, 3]), [experts, channels, -1])
}

/** The inverse of {@link filtersPerExpert}. */
export function kernelOfExperts(filters: tf.Tensor3D, shape: tf.Tensor4D['shape']): tf.Tensor4D {
  const [experts, channels] = filters.shape
  const taps = shape[0] * shape[1]
  return tf.reshape(tf.transpose(tf.reshape(filters, [experts, channels, taps, -1]), [2, 1, 0, 3]), shape)
}

/** A 1x1 convolution is one matrix product an expert: (K,P,C) x (K,C,F). */
const pointwise: PatchConvolution = {
  suits: (_, kernel) => kernel.shape[0] === 1 && kernel.shape[1] === 1,
  forward: (windows, filters) => tf.matMul(asRows(windows), filters),
  gradient: (dOutputs, windows, filters) => ({
    dWindows: tf.reshape(tf.matMul(dOutputs, filters, false, true), windows.shape),
    dFilters: tf.matMul(asRows(windows), dOutputs, true, false),
  }),
}

/** The convolutions as batched products, where that suits: 1x1, or the backend's own form. */
function asProducts(windows: tf.Tensor5D, kernel: tf.Tensor4D, border: Border): PatchConvolution | undefined {
  const forms = [pointwise, layerOps().patchConvolution]
  return forms.find(form => form?.suits(windows, kernel, paddingOf(border)))
}

/** h', w' of an expert's outputs on a window. */
function outputSize(windows: tf.Tensor5D, kernel: tf.Tensor4D, padding: 'same' | 'valid'): Size2D {
  const [, , height, width] = windows.shape
  return padding === 'same' ? [height, width] : [height - kernel.shape[0] + 1, width - kernel.shape[1] + 1]
}

function kernelSizeOf(kernel: tf.Tensor4D): Size2D {
  return [kernel.shape[0], kernel.shape[1]]
}

function paddingOf(border: Border): 'same' | 'valid' {
  return border === 'zero' ? 'same' : 'valid'
}

function asRows(windows: tf.Tensor5D): tf.Tensor3D {
  return tf.reshape(windows, [windows.shape[0], -1, windows.shape[4]])
}

function unstackExperts(windows: tf.Tensor5D): tf.Tensor4D[] {
  return tf.unstack(windows) as tf.Tensor4D[]
}

function kernelOf(kernel: tf.Tensor4D, expert: number, filters: number): tf.Tensor4D {
  return tf.slice(kernel, [0, 0, 0, expert * filters], [-1, -1, -1, filters])
}
