import * as tf from '@tensorflow/tfjs'
import type { Size2D } from '../shapes.js'
import { inputGradient, kernelGradient } from './convolution-gradients.js'
import { layerOps, type PatchConvolution } from './ops.js'

/** What an expert's convolution sees past its patch: zeros, or the true neighbours in the map. */
export const BORDERS = ['zero', 'halo'] as const
export type Border = (typeof BORDERS)[number]

/**
 * Every expert convolves its own windows with its own filters, stride 1: channels [s F, (s+1) F) of the kernel belong
 * to expert s.
 *
 * @param windows (K, M, window height, window width, C) float32, M = B L
 * @param kernel (kh,kw,C,K F) float32
 * @returns (K, P, F), P = M h w
 */
export function expertConvolution(windows: tf.Tensor5D, kernel: tf.Tensor4D, border: Border): tf.Tensor3D {
  const experts = windows.shape[0]
  const filters = kernel.shape[3] / experts
  if (isPointwise(kernel)) return tf.matMul(asRows(windows), kernelPerExpert(kernel, experts))
  const own = ownConvolution(windows, kernel, border)
  if (own) return own.forward(windows, kernel)
  const outputs = unstackExperts(windows).map((own, s) =>
    tf.conv2d(own, ownKernel(kernel, s, filters), 1, paddingOf(border)),
  )
  return tf.reshape(tf.stack(outputs), [experts, -1, filters])
}

/**
 * The way back of {@link expertConvolution}.
 *
 * @param dOutputs (K, P, F)
 * @returns derivatives by the windows and by the kernel, in their shapes
 */
export function expertConvolutionGradient(
  dOutputs: tf.Tensor3D,
  windows: tf.Tensor5D,
  kernel: tf.Tensor4D,
  border: Border,
  patch: Size2D,
): { dWindows: tf.Tensor5D; dKernel: tf.Tensor4D } {
  const [experts, kept] = windows.shape
  const filters = dOutputs.shape[2]
  if (isPointwise(kernel)) return pointwiseGradient(dOutputs, windows, kernel)
  const own = ownConvolution(windows, kernel, border)
  if (own) return own.gradient(dOutputs, windows, kernel)
  const pad = paddingOf(border)
  const dMaps = tf.unstack(tf.reshape(dOutputs, [experts, kept, ...patch, filters])) as tf.Tensor4D[]
  const inputs = unstackExperts(windows)
  const dOwn = dMaps.map((dy, s) =>
    inputGradient(dy, ownKernel(kernel, s, filters), (inputs[s] as tf.Tensor4D).shape, [1, 1], pad),
  )
  const dKernels = dMaps.map((dy, s) =>
    kernelGradient(inputs[s] as tf.Tensor4D, dy, [...kernel.shape.slice(0, 3), filters], [1, 1], pad),
  )
  return { dWindows: tf.stack(dOwn) as tf.Tensor5D, dKernel: tf.concat(dKernels, 3) }
}

/** A 1x1 convolution is one matrix product an expert: (K,P,C) x (K,C,F). */
function pointwiseGradient(dOutputs: tf.Tensor3D, windows: tf.Tensor5D, kernel: tf.Tensor4D) {
  const experts = windows.shape[0]
  const perExpert = kernelPerExpert(kernel, experts)
  const dWindows: tf.Tensor5D = tf.reshape(tf.matMul(dOutputs, perExpert, false, true), windows.shape)
  const dPerExpert = tf.matMul(asRows(windows), dOutputs, true, false) // (K,C,F)
  const dKernel: tf.Tensor4D = tf.reshape(tf.transpose(dPerExpert, [1, 0, 2]), kernel.shape)
  return { dWindows, dKernel }
}

/** The backend's own form, where it has one that suits. */
function ownConvolution(
  windows: tf.Tensor5D,
  kernel: tf.Tensor4D,
  border: Border,
): PatchConvolution | undefined {
  const { patchConvolution } = layerOps()
  return border === 'zero' && patchConvolution?.suits(windows, kernel) ? patchConvolution : undefined
}

function isPointwise(kernel: tf.Tensor4D): boolean {
  return kernel.shape[0] === 1 && kernel.shape[1] === 1
}

function paddingOf(border: Border): 'same' | 'valid' {
  return border === 'zero' ? 'same' : 'valid'
}

function asRows(windows: tf.Tensor5D): tf.Tensor3D {
  return tf.reshape(windows, [windows.shape[0], -1, windows.shape[4]])
}

function kernelPerExpert(kernel: tf.Tensor4D, experts: number): tf.Tensor3D {
  const [, , channels, filters] = kernel.shape
  return tf.transpose(tf.reshape(kernel, [channels, experts, filters / experts]), [1, 0, 2])
}

function unstackExperts(windows: tf.Tensor5D): tf.Tensor4D[] {
  return tf.unstack(windows) as tf.Tensor4D[]
}

function ownKernel(kernel: tf.Tensor4D, expert: number, filters: number): tf.Tensor4D {
  return tf.slice(kernel, [0, 0, 0, expert * filters], [-1, -1, -1, filters])
}
