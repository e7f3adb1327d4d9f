import * as tf from '@tensorflow/tfjs-core'
// Registers the gradients of tfjs's operations, which are not in its core.
import '@tensorflow/tfjs-layers'
import { type BatchNormInputs, layerOps } from '../../layers/ops.js'
import { permutation, random } from '../../random.js'
import { shapeSize } from '../../shapes.js'
import { drawEighths, hasKernel, type OperationCheck, tensorOf } from './operation-check.js'
import * as plain from './plain-arithmetic.js'

type Compute = OperationCheck['compute']
type Expected = OperationCheck['expected']

/**
 * What training computes besides convolutions: products, pools, rectifiers, BatchNorm, gathers and scatters, top-k, sums.
 * Basic operations come before those composed of them, so that the first one to be wrong is the one at fault.
 */
export function* trainingChecks(): Generator<OperationCheck> {
  for (const inBfloat16 of [false, true]) {
    yield* productChecks(inBfloat16)
    yield* poolChecks(inBfloat16)
    yield* rectifierChecks(inBfloat16)
    yield* normChecks(inBfloat16)
    yield* gatherChecks(inBfloat16)
  }
  yield* scatterChecks()
  yield* topKChecks()
  yield* sumChecks()
}

function check(
  operation: string,
  sizes: string,
  compute: Compute,
  expected: Expected,
  inBfloat16 = false,
  isThere: () => boolean = () => true,
): OperationCheck {
  return { operation, sizes, inBfloat16, isThere, repeats: 3, compute, expected }
}

function* productChecks(inBfloat16: boolean): Generator<OperationCheck> {
  for (const [batch, rows, inner, columns] of [
    [1, 1, 1, 1],
    [1, 5, 3, 7],
    [3, 4, 6, 2],
    [1, 64, 144, 16],
    [2, 33, 65, 31],
  ] as const) {
    for (const [transposeA, transposeB] of [
      [false, false],
      [true, false],
      [false, true],
    ] as const) {
      const a = drawEighths(batch * rows * inner, 1)
      const b = drawEighths(batch * inner * columns, 2)
      const shapeA = transposeA ? [batch, inner, rows] : [batch, rows, inner]
      const shapeB = transposeB ? [batch, columns, inner] : [batch, inner, columns]
      const matrix = (values: Float32Array, at: number, isTransposed: boolean, width: number) => {
        const own = values.subarray((at * values.length) / batch, ((at + 1) * values.length) / batch)
        return isTransposed ? plain.transposed(own, width) : own
      }
      yield check(
        'BatchMatMul',
        `${batch} of ${rows}x${inner} by ${inner}x${columns}${transposeA ? ', first transposed' : ''}${transposeB ? ', second transposed' : ''}`,
        () => [tf.matMul(tensorOf(a, shapeA), tensorOf(b, shapeB), transposeA, transposeB)],
        () => [
          concatenated(batch, at =>
            plain.matrixProduct(matrix(a, at, transposeA, rows), matrix(b, at, transposeB, inner), inner),
          ),
        ],
        inBfloat16,
      )
    }
  }
}

const NORMALIZED = [
  [1, 4, 4, 1],
  [2, 5, 3, 7],
  [4, 8, 8, 16],
  [2, 1, 1, 3],
]
const EPSILON = 1e-3

function* normChecks(inBfloat16: boolean): Generator<OperationCheck> {
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

function* poolChecks(inBfloat16: boolean): Generator<OperationCheck> {
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

function* rectifierChecks(inBfloat16: boolean): Generator<OperationCheck> {
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

function* gatherChecks(inBfloat16: boolean): Generator<OperationCheck> {
  const [rows, columns] = [40, 6]
  const x = drawEighths(rows * columns, 1)
  const chosen = Array.from({ length: 64 }, (_, at) => (at * 23) % rows)
  const table = () =>
    tf.reshape(tf.maxPool(tensorOf<tf.Tensor4D>(x, [1, rows, 1, columns]), 1, 1, 'valid'), [rows, columns])
  yield check(
    'GatherV2',
    '64 of 40 rows',
    () => [tf.gather(table(), tf.tensor1d(chosen, 'int32'))],
    () => [Float32Array.from(chosen.flatMap(row => [...x.subarray(row * columns, (row + 1) * columns)]))],
    inBfloat16,
  )
  yield check(
    'GatherNd',
    '64 of 40x6 numbers',
    () => [
      tf.gatherND(
        table(),
        tf.tensor2d(
          chosen.flatMap(row => [row, row % columns]),
          [64, 2],
          'int32',
        ),
      ),
    ],
    () => [Float32Array.from(chosen, row => x[row * columns + (row % columns)]!)],
    inBfloat16,
  )
  const firstRows = 12
  yield check(
    'Slice',
    '12 of 40 rows, 4 of 6 columns',
    () => [tf.slice(table(), [5, 1], [firstRows, 4])],
    () => [
      Float32Array.from(
        { length: firstRows * 4 },
        (_, at) => x[(5 + Math.floor(at / 4)) * columns + 1 + (at % 4)]!,
      ),
    ],
    inBfloat16,
  )
  yield check(
    'PadV2',
    '40 rows in 43',
    () => [
      tf.pad(table(), [
        [1, 2],
        [0, 0],
      ]),
    ],
    () => [Float32Array.from([...new Float32Array(columns), ...x, ...new Float32Array(2 * columns)])],
    inBfloat16,
  )
}

function* scatterChecks(): Generator<OperationCheck> {
  const [rows, columns, segments] = [64, 5, 9]
  const x = drawEighths(rows * columns, 1)
  const segmentOfRow = Array.from({ length: rows }, (_, row) => (row * 7) % segments)
  const sums = () => {
    const all = new Float32Array(segments * columns)
    for (let at = 0; at < x.length; at++) {
      all[(segmentOfRow[Math.floor(at / columns)] as number) * columns + (at % columns)]! += x[at]!
    }
    return [all]
  }
  yield check(
    'ScatterNd',
    '64 rows on 9',
    () => [
      tf.scatterND(tf.tensor2d(segmentOfRow, [rows, 1], 'int32'), tensorOf(x, [rows, columns]), [
        segments,
        columns,
      ]),
    ],
    sums,
  )
  yield check(
    'UnsortedSegmentSum',
    '64 rows in 9 segments',
    () => [
      tf.unsortedSegmentSum(
        tensorOf<tf.Tensor2D>(x, [rows, columns]),
        tf.tensor1d(segmentOfRow, 'int32'),
        segments,
      ),
    ],
    sums,
    false,
    () => hasKernel('UnsortedSegmentSum'),
  )
}

/**
 * Of equal numbers the first; a row with NaN must not reach the others, and a row of nothing but NaN has NaN at different places of
 * its own. Where NaN stands among numbers backends differ, and nothing is asked: layers make such rows NaN before they rank them.
 */
function* topKChecks(): Generator<OperationCheck> {
  for (const [columns, k] of [
    [1, 1],
    [6, 3],
    [64, 8],
    [49, 49],
  ] as const) {
    // Eighths in [-1, 1]: many are equal. The second row holds NaN, which must not reach the others.
    const x = drawEighths(5 * columns, 1)
    const withNaN = x.slice()
    withNaN[columns] = Number.NaN
    const others = [...Array(5).keys()].filter(row => row !== 1)
    const numbers = Float32Array.from(
      others.flatMap(row => [...x.subarray(row * columns, (row + 1) * columns)]),
    )
    const indices = () => plain.largest(numbers, columns, k)
    yield check(
      'TopK',
      `${k} of ${columns}, with ties and NaN`,
      () => {
        const { values, indices: chosen } = tf.topk(tensorOf(withNaN, [5, columns]), k, true)
        const rows = tf.tensor1d(others, 'int32')
        return [tf.gather(values, rows), tf.gather(chosen, rows)]
      },
      () => [indices().map((column, at) => numbers[Math.floor(at / k) * columns + column]!), indices()],
    )
    const rows = 2
    yield check(
      'TopK',
      `${k} of ${columns}, all NaN`,
      () => {
        const { values, indices: places } = tf.topk(tf.fill([rows, columns], Number.NaN), k, true)
        // How often each place of a row is named; one that is outside counts nowhere.
        // tfjs wants two columns at least.
        const times = tf.sum(
          tf.slice(tf.oneHot(places as tf.Tensor2D, columns + 1), [0, 0, 0], [-1, -1, columns]),
          1,
        )
        return [values, tf.max(times, 1), tf.sum(times, 1)]
      },
      () => [new Array(rows * k).fill(Number.NaN), new Array(rows).fill(1), new Array(rows).fill(k)],
    )
  }
}

function* sumChecks(): Generator<OperationCheck> {
  const shape = [6, 5, 8]
  const x = drawEighths(shapeSize(shape), 1)
  const rows = () => tensorOf<tf.Tensor2D>(x, [30, 8])
  yield check(
    'Sum',
    '30x8, of columns',
    () => [tf.sum(rows(), 0)],
    () => [plain.channelSums(x, 8)],
  )
  yield check(
    'Sum',
    '30x8, of rows',
    () => [tf.sum(rows(), 1)],
    () => [plain.channelSums(plain.transposed(x, 8), 30)],
  )
  yield check(
    'Mean',
    '30x8, of columns',
    () => [tf.mean(rows(), 0)],
    () => [plain.channelSums(x, 8).map(sum => sum / 30)],
  )
  yield check(
    'Transpose',
    '30x8',
    () => [tf.transpose(rows())],
    () => [plain.transposed(x, 8)],
  )
  yield check(
    'Softmax',
    '30x8',
    () => [tf.softmax(rows())],
    () => [
      Float64Array.from(x, (value, at) => {
        const row = x.subarray(at - (at % 8), at - (at % 8) + 8)
        return Math.exp(value) / row.reduce((sum, other) => sum + Math.exp(other), 0)
      }),
    ],
  )
}

function concatenated(count: number, part: (at: number) => ArrayLike<number>): Float64Array {
  return Float64Array.from(Array.from({ length: count }, (_, at) => Array.from(part(at))).flat())
}
