import * as tf from '@tensorflow/tfjs-core'
import { registerLayerOps } from '../../layers/ops.js'
import { averageOfPixels } from '../corrections/average-pool.js'
import { wrapKernel } from '../corrections/wrapped-kernel.js'
import { batchNorm, batchNormRelu, groupNormalization } from './batch-norm.js'
import { release } from './device-program.js'
import { watchDevice } from './device-watch.js'
import { forgetLateReads } from './in-place.js'
import { biasedKernelGradient, filterGradientAsProduct } from './kernel-gradient.js'
import { patchConvolution } from './patch-convolution.js'
import { byColumns } from './reductions.js'
import { reluGradient } from './relu-gradient.js'
import { scatterInOrder, segmentsInOrder } from './scatter.js'
import { addsInAnyOrder, productInOrder } from './shared-out-product.js'
import { sortedInWorkgroup } from './top-k.js'
import { moveAverages, stepWeights } from './weight-steps.js'

/**
 * Makes the backend `webgpu` right, safe and fast to train with, in Node and in a page. To be called after
 * `await tf.setBackend('webgpu')`; a second call changes nothing.
 *
 * - Every reading of a tensor rejects once the device has refused something or is lost.
 * - Kernels of tfjs-backend-webgpu 4.22 get other forms that do not compile (transpositions of whole numbers, padding of more than four
 *   axes, after both of which tfjs reads zeros and says nothing), that wait for the device (repetition of more than four axes, which
 *   fails in Node), or that are wrong (the derivative of an average pool with padding). Mixtures of this library train without these.
 * - A training step takes a third of the dispatches: BatchNorm with its ReLU, the derivatives of convolutions by kernel and bias, the
 *   convolutions of all experts, sums over rows, top-k and the steps of weights and averages are kernels of this library.
 * - Two runs give the same bits: nothing is added in any order, as tfjs's scatter, segment sums and long products are.
 *
 * @throws Error when another backend is the current one
 */
export function registerWebGpuKernels(): void {
  const current = tf.getBackend()
  if (current !== 'webgpu') {
    throw new Error(
      `registerWebGpuKernels: the current backend must be webgpu, got ${current} (first await tf.setBackend('webgpu'))`,
    )
  }
  watchDevice(tf.backend())
  correctPrograms(tf.backend())
  forgetLateReads(tf.backend())
  if (isRegistered) return
  isRegistered = true
  registerLayerOps('webgpu', {
    batchNorm,
    batchNormRelu,
    groupNormalization,
    reluGradient,
    moveAverages,
    stepWeights,
    biasedConvolution: ({ x, kernel, bias, strides, pad }) =>
      tf.fused.conv2d({ x, filter: kernel, strides: [...strides], pad, bias }),
    biasedKernelGradient,
    patchConvolution,
  })
  wrapKernel('webgpu', 'Sum', original => byColumns(original, 'sum'))
  wrapKernel('webgpu', 'Mean', original => byColumns(original, 'mean'))
  wrapKernel('webgpu', 'Conv2DBackpropFilter', filterGradientAsProduct)
  wrapKernel('webgpu', 'TopK', sortedInWorkgroup)
  wrapKernel('webgpu', 'ScatterNd', scatterInOrder)
  wrapKernel('webgpu', 'UnsortedSegmentSum', segmentsInOrder)
  // From 32 channels on; the plain one computes each value of a gradient by itself.
  tf.env().set('WEBGPU_USE_NAIVE_CONV2D_TRANSPOSE', false)
  wrapKernel('webgpu', 'AvgPoolGrad', averageOfPixels)
  wrapKernel('webgpu', 'PadV2', original => args => {
    const x = args.inputs.x as tf.Tensor
    if (x.shape.length <= 4) return original(args)
    const { paddings, constantValue } = args.attrs as unknown as Padding
    return tf.tidy(() =>
      axisByAxis(x, (rows, axis) => {
        const [before, after] = paddings[axis] as readonly [number, number]
        const margins: [number, number][] = [
          [0, 0],
          [before, after],
          [0, 0],
        ]
        return before + after === 0 ? rows : tf.pad(rows, margins, constantValue)
      }),
    )
  })
  wrapKernel('webgpu', 'Tile', original => args => {
    const x = args.inputs.x as tf.Tensor
    if (x.shape.length <= 4) return original(args)
    const { reps } = args.attrs as unknown as { readonly reps: readonly number[] }
    return tf.tidy(() =>
      axisByAxis(x, (rows, axis) => (reps[axis] === 1 ? rows : tf.tile(rows, [1, reps[axis] as number, 1]))),
    )
  })
}

interface Padding {
  readonly paddings: readonly (readonly [before: number, after: number])[]
  readonly constantValue: number
}

/** The parts of a program of tfjs's WebGPU backend, and of the backend, that transpositions need. */
interface Program {
  readonly shaderKey: string
  getUserCode(): string
}

interface ProgramBackend {
  runWebGPUProgram(program: Program, inputs: unknown, dtype: tf.DataType, ...rest: unknown[]): unknown
}

const corrected = new WeakSet<object>()

/**
 * Corrects programs wherever kernels run them: transpositions, which some kernels run for whole numbers by themselves, and products
 * that add in any order.
 */
function correctPrograms(backend: tf.KernelBackend): void {
  if (corrected.has(backend)) return
  corrected.add(backend)
  const gpu = backend as unknown as ProgramBackend
  const run = gpu.runWebGPUProgram.bind(gpu)
  gpu.runWebGPUProgram = (program, inputs, dtype, ...rest) => {
    if (program.shaderKey?.startsWith('transpose') && dtype !== 'float32') {
      const code = program.getUserCode.bind(program)
      program.getUserCode = () =>
        code().replace('setOutputAtIndex(flatIndex, A[', 'setOutputAtIndexI32(flatIndex, A[')
    }
    if (addsInAnyOrder(program)) {
      // What tfjs has filled with zeros for it is not needed.
      const [, zeros] = rest as [unknown, tf.TensorInfo | undefined]
      if (zeros) release([zeros])
      return productInOrder(program, inputs as [tf.TensorInfo, tf.TensorInfo], program.outputShape)
    }
    return run(program, inputs, dtype, ...rest)
  }
}

let isRegistered = false

/** Changes one axis after the other, each as the middle one of three. */
function axisByAxis(x: tf.Tensor, change: (rows: tf.Tensor3D, axis: number) => tf.Tensor3D): tf.Tensor {
  return x.shape.reduce((changed: tf.Tensor, side, axis) => {
    const outer = tf.util.sizeFromShape(changed.shape.slice(0, axis))
    const inner = tf.util.sizeFromShape(changed.shape.slice(axis + 1))
    const rows = change(tf.reshape(changed, [outer, side, inner]), axis)
    return tf.reshape(rows, changed.shape.with(axis, rows.shape[1]))
  }, x)
}
