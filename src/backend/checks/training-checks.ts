import * as tf from '@tensorflow/tfjs-core'
// Registers the gradients of tfjs's operations, which are not in its core.
import '@tensorflow/tfjs-layers'
import { shapeSize } from '../../shapes.js'
import { normChecks, poolChecks, rectifierChecks } from './map-checks.js'
import { check, drawEighths, hasKernel, type OperationCheck, tensorOf } from './operation-check.js'
import * as plain from './plain-arithmetic.js'

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
