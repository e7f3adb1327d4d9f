import * as tf from '@tensorflow/tfjs-core'
import { watchDevice } from './device-watch.js'

/**
 * Makes the backend `webgpu` right and safe to train with, in Node and in a page: lets every reading of a tensor reject once the
 * device has refused something or is lost, and puts other forms in the place of kernels of tfjs-backend-webgpu 4.22 that do not compile
 * (transpositions of whole numbers, padding of more than four axes, after both of which tfjs reads zeros and says nothing) or that
 * wait for the device (repetition of more than four axes, which fails in Node). Mixtures of this library train without these three. To be
 * called after `await tf.setBackend('webgpu')`; a second call changes nothing.
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
  if (isRegistered) return
  isRegistered = true
  // From 32 channels on; the plain one computes each value of a gradient by itself.
  tf.env().set('WEBGPU_USE_NAIVE_CONV2D_TRANSPOSE', false)
  wrapKernel('Transpose', original => args => {
    const x = args.inputs.x as tf.Tensor
    const { perm } = args.attrs as unknown as { readonly perm: readonly number[] }
    if (x.dtype === 'float32' || x.shape.length <= 2) return original(args)
    return tf.tidy(() => transposedByGather(x, perm))
  })
  wrapKernel('PadV2', original => args => {
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
  wrapKernel('Tile', original => args => {
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

let isRegistered = false

function wrapKernel(kernelName: string, wrap: (original: tf.KernelFunc) => tf.KernelFunc): void {
  const original = tf.getKernel(kernelName, 'webgpu')
  tf.unregisterKernel(kernelName, 'webgpu')
  tf.registerKernel({ ...original, kernelFunc: wrap(original.kernelFunc) })
}

function transposedByGather(x: tf.Tensor, perm: readonly number[]): tf.Tensor {
  const shape = perm.map(axis => x.shape[axis] as number)
  const strides = tf.util.computeStrides(x.shape)
  const steps = perm.map(axis => strides[axis] ?? 1)
  const order = new Int32Array(x.size)
  for (let i = 0; i < order.length; i++) {
    let rest = i
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const side = shape[axis] as number
      order[i] = (order[i] as number) + (rest % side) * (steps[axis] as number)
      rest = Math.floor(rest / side)
    }
  }
  const values = tf.gatherND(tf.reshape(x, [x.size, 1]), tf.tensor2d(order, [x.size, 1], 'int32'))
  return tf.reshape(values, shape)
}

/** Changes one axis after the other, each as the middle one of three. */
function axisByAxis(x: tf.Tensor, change: (rows: tf.Tensor3D, axis: number) => tf.Tensor3D): tf.Tensor {
  return x.shape.reduce((changed: tf.Tensor, side, axis) => {
    const outer = tf.util.sizeFromShape(changed.shape.slice(0, axis))
    const inner = tf.util.sizeFromShape(changed.shape.slice(axis + 1))
    const rows = change(tf.reshape(changed, [outer, side, inner]), axis)
    return tf.reshape(rows, changed.shape.with(axis, rows.shape[1]))
  }, x)
}
