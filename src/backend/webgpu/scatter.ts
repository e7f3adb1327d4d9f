import * as tf from '@tensorflow/tfjs-core'
import { newTensor, runProgram, wholeNumbers } from './device-program.js'

/** Invocations of a workgroup, and updates that it looks through at a time. */
const INVOCATIONS = 256

/** Workgroups that share out the rows of the result. */
const BUSY = 1024

/** Axes that an index may have. */
const MOST_AXES = 4

/** Updates, each a row of numbers, added to rows of a result. */
interface RowUpdates {
  /** Of the whole result. */
  readonly shape: readonly number[]
  /** Rows of the result, and numbers in each. */
  readonly rows: number
  readonly width: number
  /** (count, axes) whole numbers. */
  readonly indices: tf.TensorInfo
  readonly updates: tf.TensorInfo
  readonly count: number
  /** Rows that one step along each axis of an index passes. */
  readonly strides: readonly number[]
}

/**
 * Scatters floats without atomic additions: updates of one row are added in their order, so that two runs give the same bits. Each
 * workgroup owns some rows of the result and looks through all indices for them. Whole numbers stay with the original.
 */
export function scatterInOrder(original: tf.KernelFunc): tf.KernelFunc {
  return params => {
    const { indices, updates } = params.inputs as { indices: tf.TensorInfo; updates: tf.TensorInfo }
    const { shape } = params.attrs as unknown as { readonly shape: number[] }
    const { sliceRank, numUpdates, sliceSize, strides, outputSize } = tf.backend_util.calculateShapes(
      updates,
      indices,
      shape,
    )
    const isEmpty = outputSize === 0 || numUpdates === 0
    if (updates.dtype !== 'float32' || isEmpty || sliceRank > MOST_AXES) return original(params)
    return addRows({
      shape,
      rows: outputSize / sliceSize,
      width: sliceSize,
      indices,
      updates,
      count: numUpdates,
      strides,
    })
  }
}

/** {@link scatterInOrder} of the rows of a tensor, by the segment of each; negative segments are left out. */
export function segmentsInOrder(original: tf.KernelFunc): tf.KernelFunc {
  return params => {
    const { x, segmentIds } = params.inputs as { x: tf.TensorInfo; segmentIds: tf.TensorInfo }
    const { numSegments } = params.attrs as unknown as { readonly numSegments: number }
    const [count = 0, ...row] = x.shape
    const width = tf.util.sizeFromShape(row)
    const isEmpty = count * width * numSegments === 0
    if (x.dtype !== 'float32' || isEmpty || segmentIds.shape.length !== 1) return original(params)
    const shape = [numSegments, ...row]
    return addRows({ shape, rows: numSegments, width, indices: segmentIds, updates: x, count, strides: [1] })
  }
}

function addRows({ shape, rows, width, indices, updates, count, strides }: RowUpdates): tf.TensorInfo {
  const lanes = Math.min(INVOCATIONS, 2 ** Math.ceil(Math.log2(width)))
  const rowsAtOnce = INVOCATIONS / lanes
  const rowsEach = Math.max(rowsAtOnce, Math.ceil(rows / BUSY))
  const result = newTensor(shape)
  runProgram({
    name: 'ScatterRows',
    variant: `${lanes} ${strides.length}`,
    written: [{ name: 'result', tensor: result }],
    read: [
      { name: 'indices', tensor: indices },
      { name: 'updates', tensor: updates },
    ],
    uniforms: wholeNumbers({
      rows,
      width,
      rowsEach,
      count,
      ...Object.fromEntries(strides.map((stride, axis) => [`stride_${axis}`, stride])),
    }),
    workgroupSize: [INVOCATIONS, 1],
    workgroups: [Math.ceil(rows / rowsEach), 1, 1],
    declarations: () => `
var<workgroup> rowOf: array<i32, ${INVOCATIONS}>;
// A bit for each update looked through that belongs to this workgroup: whoever sets it first, it is the same.
var<workgroup> own: array<atomic<u32>, ${INVOCATIONS / 32}>;`,
    body: () => scatterBody(lanes, rowsAtOnce, strides.length),
  })
  return result
}

/**
 * @param lanes invocations along a row of the result
 * @param rowsAtOnce rows that a workgroup adds to at a time, by invocations that each have rows of their own
 */
function scatterBody(lanes: number, rowsAtOnce: number, axes: number): string {
  const row = Array.from(
    { length: axes },
    (_, axis) => `indices[update * ${axes} + ${axis}] * uniforms.stride_${axis}`,
  ).join(' + ')
  return `
  let invocation = i32(localId.x);
  let lane = invocation % ${lanes};
  let turn = invocation / ${lanes};
  let firstRow = i32(groupId.x) * uniforms.rowsEach;
  let rowsHere = min(uniforms.rowsEach, uniforms.rows - firstRow);
  for (var row = turn; row < rowsHere; row += ${rowsAtOnce}) {
    for (var i = lane; i < uniforms.width; i += ${lanes}) { result[(firstRow + row) * uniforms.width + i] = 0.0; }
  }
  for (var start = 0; start < uniforms.count; start += ${INVOCATIONS}) {
    let update = start + invocation;
    var row = -1;
    if (update < uniforms.count) {
      row = ${row} - firstRow;
    }
    rowOf[invocation] = row;
    if (invocation < ${INVOCATIONS / 32}) { atomicStore(&own[invocation], 0u); }
    workgroupBarrier();
    if (row >= 0 && row < rowsHere) { atomicOr(&own[invocation / 32], 1u << u32(invocation % 32)); }
    workgroupBarrier();
    for (var word = 0; word < ${INVOCATIONS / 32}; word++) {
      var bits = atomicLoad(&own[word]);
      while (bits != 0u) {
        let which = word * 32 + i32(countTrailingZeros(bits));
        bits &= bits - 1u;
        let to = rowOf[which];
        if (to % ${rowsAtOnce} == turn) {
          for (var i = lane; i < uniforms.width; i += ${lanes}) {
            result[(firstRow + to) * uniforms.width + i] += updatesAt((start + which) * uniforms.width + i);
          }
        }
      }
    }
    workgroupBarrier();
  }`
}
