import * as tf from '@tensorflow/tfjs-core'
import { type BatchNormInputs, layerOps } from '../../layers/ops.js'
import { permutation, random } from '../../random.js'
import { shapeSize } from '../../shapes.js'
import { check, drawEighths, type OperationCheck, tensorOf } from './operation-check.js'
import * as plain from './plain-arithmetic.js'

const NORMALIZED = [
  [1, 4, 4, 1],
  [2, 5, 3, 7],
  [4, 8, 8, 16],
  [2, 1, 1, 3],
]
const EPSILON = 1e-3

/** BatchNorm, alone and with the ReLU that follows: value, derivatives and moments. */
export function* normChecks(inBfloat16: boolean): Generator<OperationCheck> {
  for (const shape of NORMALIZED) {
    const [size, channels] = [shapeSize(shape), shape.at(-1) as number]
    const numbers = { x: drawEighths(size, 1), dy: drawEighths(size, 2) }
    const gamma = drawEighths(channels, 3).map(value => value + 2)
    const beta = drawEighths(channels, 4)
    const sizes = `${shape.join('x')} map`
    // A map is stored in bfloat16 only as the result of an operation, such as a pool of single pixels.
    const map = (values: Float32Array) => {
      const tensor = tensorOf<tf.Tensor4D>(values, shape)
      return inBfloat16 ? tf.maxPool(tensor, 1, 1, 'valid') : tensor
    }
    for (const name of ['batchNorm', 'batchNormRelu'] as const) {
      const rectifies = name === 'batchNormRelu'
      const normal = () =>
        plain.batchNorm(numbers.x, plain.moments(numbers.x, channels), gamma, beta, EPSILON)
      yield check(
        name,
        sizes,
        () => normalized(name, map(numbers.x), gamma, beta, () => map(numbers.dy)),
        () => {
          const y = normal()
          const dy = numbers.dy.map((value, at) => (rectifies && y[at]! <= 0 ? 0 : value))
          const { dx, dGamma, dBeta } = plain.batchNormGradient(numbers.x, dy, gamma, EPSILON)
          const { mean, variance } = plain.moments(numbers.x, channels)
          return [rectifies ? y.map(value => Math.max(0, value)) : y, dx, dGamma, dBeta, mean, variance]
        },
        inBfloat16,
      )
    }
    if (inBfloat16) continue
    const moments = {
      mean: drawEighths(channels, 5),
      variance: drawEighths(channels, 6).map(value => value + 2),
    }
    yield check(
      'FusedBatchNorm',
      sizes,
      () => [
        tf.batchNorm(
          map(numbers.x),
          tf.tensor1d(moments.mean),
          tf.tensor1d(moments.variance),
          tf.tensor1d(beta),
          tf.tensor1d(gamma),
          EPSILON,
        ),
      ],
      () => [plain.batchNorm(numbers.x, moments, gamma, beta, EPSILON)],
    )
  }
}

/** Value, derivatives and moments. */
function normalized(
  name: 'batchNorm' | 'batchNormRelu',
  x: tf.Tensor4D,
  gamma: Float32Array,
  beta: Float32Array,
  cotangent: () => tf.Tensor,
): tf.Tensor[] {
  const moments: tf.Tensor[] = []
  const apply = (...[map, scale, shift]: tf.Tensor[]) =>
    layerOps()[name]({
      x: map,
      gamma: scale,
      beta: shift,
      epsilon: EPSILON,
      onMoments: ({ mean, variance }) => moments.push(tf.keep(tf.clone(mean)), tf.keep(tf.clone(variance))),
    } as BatchNormInputs)
  const { value, grads } = tf.valueAndGrads(apply)([x, tf.tensor1d(gamma), tf.tensor1d(beta)], cotangent())
  return [value, ...grads, ...moments]
}

/** Largest and mean numbers of windows, and their derivatives. */
export function* poolChecks(inBfloat16: boolean): Generator<OperationCheck> {
  for (const map of [
    [2, 4, 4, 1],
    [1, 7, 5, 3],
    [2, 6, 6, 3],
    [1, 1, 1, 2],
  ] as const)
    for (const kernel of [1, 2, 3])
      for (const stride of [1, 2])
        for (const pad of ['same', 'valid'] as const) {
          if (pad === 'valid' && (kernel > map[1] || kernel > map[2])) continue
          const sizes: plain.ConvolutionSizes = {
            map,
            kernel: [kernel, kernel],
            filters: map[3],
            strides: [stride, stride],
            pad,
          }
          // All different, so that each maximum belongs to one pixel; exact in bfloat16.
          const x = Float32Array.from(permutation(shapeSize(map), random(1)), value => (value - 100) / 8)
          const outShape = [map[0], ...plain.outputSize(sizes), map[3]]
          const dy = drawEighths(shapeSize(outShape), 2)
          const words = `${map.slice(1).join('x')} map, ${kernel}x${kernel} window, stride ${stride}, ${pad}`
          const pools = [
            ['max', tf.maxPool],
            ['average', tf.avgPool],
          ] as const
          for (const [kind, pool] of pools) {
            if (inBfloat16 && kind === 'average') continue
            yield check(
              kind === 'max' ? 'MaxPool' : 'AvgPool',
              words,
              () => {
                const apply = (one: tf.Tensor) => pool(one as tf.Tensor4D, kernel, stride, pad)
                const { value, grad } = tf.valueAndGrad(apply)(tensorOf(x, map), tensorOf(dy, outShape))
                return [value, grad]
              },
              () => [plain.pool(kind, x, sizes), plain.poolGradient(kind, x, dy, sizes)],
              inBfloat16,
            )
          }
        }
}

/** ReLU and its derivative, sums of maps and of channels. */
export function* rectifierChecks(inBfloat16: boolean): Generator<OperationCheck> {
  for (const shape of [
    [1, 1, 1, 1],
    [2, 5, 3, 7],
    [4, 8, 8, 16],
  ]) {
    const [x, dy] = [drawEighths(shapeSize(shape), 1), drawEighths(shapeSize(shape), 2)]
    const output = x.map(value => Math.max(0, value))
    const sizes = `${shape.join('x')} map`
    const map = () => tf.maxPool(tensorOf<tf.Tensor4D>(x, shape), 1, 1, 'valid')
    yield check(
      'Relu',
      sizes,
      () => [tf.relu(map())],
      () => [output],
      inBfloat16,
    )
    yield check(
      'reluGradient',
      sizes,
      () => [layerOps().reluGradient<tf.Tensor>(tensorOf(dy, shape), tf.relu(map()))],
      () => [dy.map((value, at) => (output[at]! > 0 ? value : 0))],
      inBfloat16,
    )
    yield check(
      'Add',
      sizes,
      () => [tf.add(map(), map())],
      () => [x.map(value => 2 * value)],
      inBfloat16,
    )
    yield check(
      'channelSums',
      sizes,
      () => [layerOps().channelSums(tensorOf(x, shape))],
      () => [plain.channelSums(x, shape[3] as number)],
      inBfloat16,
    )
  }
}
