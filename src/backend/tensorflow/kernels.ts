import * as tf from '@tensorflow/tfjs-core'
import { handGradient } from '../../layers/hand-gradient.js'
import { type BatchNormInputs, type LayerOps, layerOps, registerLayerOps } from '../../layers/ops.js'
import { wrapKernel } from '../corrections/wrapped-kernel.js'
import { registerConvolutionGradients } from './convolution-gradients.js'
import { kernelAndBiasGradient, kernelGradient } from './kernel-gradient.js'
import { biasedConvolution, hasOneDnn, oneDnnLabel, rectifiedNormName } from './onednn.js'
import { type Attribute, nativeBackend, type OutputMetadata } from './operations.js'
import { patchConvolution } from './patch-convolution.js'

let registered = false

/** Operations that can be computed in another way: composed of others, or as products and turned convolutions. */
export const AVOIDABLE_OPERATIONS: readonly string[] = [
  'batchNorm',
  'batchNormRelu',
  'reluGradient',
  'channelSums',
  'patchConvolution',
  'kernelGradient',
  'biasedConvolution',
  'biasedKernelGradient',
  'Conv2DBackpropInput',
  'Conv2DBackpropFilter',
]

/**
 * Gives native TensorFlow its fused operations: BatchNorm forward and backward, the gradients of ReLU and of a bias, in
 * one pass each instead of the many that tfjs composes, and the fastest kernel gradients. Values and gradients equal
 * the composed ones to float32 rounding; the variance handed to moving averages is the biased one, as on every other
 * backend (TensorFlow's fused operation itself reports the unbiased one).
 *
 * @param avoided those of {@link AVOIDABLE_OPERATIONS} that this machine gets wrong: they are computed in another way
 */
export function registerTensorFlowKernels(avoided: ReadonlySet<string> = new Set()): void {
  if (registered) return
  registered = true
  const register = (ops: Partial<LayerOps>): void =>
    registerLayerOps(
      'tensorflow',
      Object.fromEntries(Object.entries(ops).filter(([name]) => !avoided.has(name))),
    )
  register({ batchNorm, reluGradient, channelSums, patchConvolution, pixels })
  registerFreeCasts()
  // On a GPU TensorFlow's own operation is the fastest.
  if (!nativeBackend().isUsingGpuDevice) {
    registerConvolutionGradients({
      input: avoided.has('Conv2DBackpropInput'),
      kernel: avoided.has('Conv2DBackpropFilter'),
    })
    register({ kernelGradient })
  }
  if (hasOneDnn()) {
    register({ biasedConvolution, biasedKernelGradient: kernelAndBiasGradient, batchNormRelu })
  }
}

/**
 * Has casts to the type that a tensor has already cost nothing: tfjs asks for one before each mean and softmax, some twenty in a
 * training step, and tfjs-node copies the tensor.
 */
function registerFreeCasts(): void {
  const identity = tf.getKernel(tf.Identity, 'tensorflow')
  if (!identity) return
  wrapKernel('tensorflow', tf.Cast, original => args => {
    const isCast = (args.inputs.x as tf.TensorInfo).dtype !== (args.attrs as { dtype?: tf.DataType }).dtype
    return (isCast ? original : identity.kernelFunc)(args)
  })
}

/** How TensorFlow normalizes: its operation, and whether that includes the ReLU. */
interface Normalization {
  readonly operation: string
  readonly rectifies: boolean
  readonly attributes: readonly Attribute[]
}

function batchNorm(inputs: BatchNormInputs): tf.Tensor {
  return normalize(inputs, { operation: 'FusedBatchNormV3', rectifies: false, attributes: [] })
}

function batchNormRelu(inputs: BatchNormInputs): tf.Tensor {
  const { TF_ATTR_INT, TF_ATTR_STRING } = nativeBackend().binding
  const attributes = [
    { name: 'activation_mode', type: TF_ATTR_STRING, value: 'Relu' },
    { name: 'num_side_inputs', type: TF_ATTR_INT, value: 0 },
    oneDnnLabel(),
  ]
  return normalize(inputs, { operation: rectifiedNormName, rectifies: true, attributes })
}

function normalize(
  { x, gamma, beta, epsilon, onMoments }: BatchNormInputs,
  { operation, rectifies, attributes }: Normalization,
): tf.Tensor {
  const channels = x.shape.at(-1) as number
  const pixels = x.size / channels
  const asImage = (map: tf.Tensor) => (map.rank === 4 ? map : tf.reshape(map, [1, 1, pixels, channels]))
  const asInput = (image: tf.Tensor) => (x.rank === 4 ? image : tf.reshape(image, x.shape))
  return handGradient([x, gamma, beta], () => {
    const empty = tf.tensor1d([])
    const inputs = [asImage(x), gamma, beta, empty, empty]
    // y, mean, unbiased variance, and three tensors that the gradient operation takes.
    const [y, mean, variance, ...reserved] = fused(operation, epsilon, inputs, 6, [
      { name: 'exponential_avg_factor', type: nativeBackend().binding.TF_ATTR_FLOAT, value: 1 },
      ...attributes,
    ]) as [tf.Tensor, tf.Tensor1D, tf.Tensor1D, ...tf.Tensor[]]
    onMoments({ mean, variance: tf.mul(variance, (pixels - 1) / pixels) })
    return {
      value: asInput(y),
      saved: [x, ...reserved, ...(rectifies ? [y] : [])],
      gradient: (dy, [input, ...state]) => {
        const dImage = asImage(dy)
        const dNorm = rectifies ? layerOps().reluGradient(dImage, state.pop() as tf.Tensor) : dImage
        const back = [dNorm, asImage(input as tf.Tensor), gamma, ...state]
        const [dx, dGamma, dBeta] = fused('FusedBatchNormGradV3', epsilon, back, 5, [])
        return [asInput(dx as tf.Tensor), dGamma as tf.Tensor, dBeta as tf.Tensor]
      },
    }
  })
}

function reluGradient<T extends tf.Tensor>(dy: T, output: T): T {
  return run('ReluGrad', [floats('T')], [dy, output], 1)[0] as T
}

function channelSums(x: tf.Tensor): tf.Tensor1D {
  const format = { name: 'data_format', type: nativeBackend().binding.TF_ATTR_STRING, value: 'NHWC' }
  return run('BiasAddGrad', [floats('T'), format], [x], 1)[0] as tf.Tensor1D
}

/** The bytes go to TensorFlow as they are: a quarter of the memory of the numbers that tfjs would make of them. */
function pixels(bytes: Uint8Array, shape: readonly number[]): tf.Tensor {
  const backend = nativeBackend()
  const { binding } = backend
  const uploaded = binding.createTensor([...shape], binding.TF_UINT8, bytes)
  try {
    const [numbers] = binding.executeOp(
      'Cast',
      [
        { name: 'SrcT', type: binding.TF_ATTR_TYPE, value: binding.TF_UINT8 },
        { name: 'DstT', type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT },
        { name: 'Truncate', type: binding.TF_ATTR_BOOL, value: false },
      ],
      [uploaded],
      1,
    )
    return tf.tidy(() => tf.div(backend.createOutputTensor(numbers as OutputMetadata), 255))
  } finally {
    binding.deleteTensor(uploaded)
  }
}

function fused(
  name: string,
  epsilon: number,
  inputs: tf.Tensor[],
  outputs: number,
  more: Attribute[],
): tf.Tensor[] {
  const { TF_ATTR_FLOAT, TF_ATTR_BOOL, TF_ATTR_STRING } = nativeBackend().binding
  const attributes = [
    floats('T'),
    floats('U'),
    { name: 'epsilon', type: TF_ATTR_FLOAT, value: epsilon },
    { name: 'data_format', type: TF_ATTR_STRING, value: 'NHWC' },
    { name: 'is_training', type: TF_ATTR_BOOL, value: true },
    ...more,
  ]
  return run(name, attributes, inputs, outputs)
}

function floats(name: string): Attribute {
  const { TF_ATTR_TYPE, TF_FLOAT } = nativeBackend().binding
  return { name, type: TF_ATTR_TYPE, value: TF_FLOAT }
}

function run(name: string, attributes: Attribute[], inputs: tf.Tensor[], outputs: number): tf.Tensor[] {
  return nativeBackend().executeMultipleOutputs(name, attributes, inputs, outputs)
}
