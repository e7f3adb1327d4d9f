import type * as tf from '@tensorflow/tfjs-core'
import { handGradient } from '../../layers/hand-gradient.js'
import {
  type BatchNormInputs,
  composedOps,
  type GroupMoments,
  type GroupNorm,
  type GroupNormalization,
} from '../../layers/ops.js'
import {
  addLanes,
  type Chunks,
  type Columns,
  chunkDispatch,
  chunkPlace,
  chunksOf,
  chunkUniforms,
  columnSums,
  forEachRow,
  sharedLanes,
} from './column-sums.js'
import {
  asTensor,
  flatSize,
  flatWorkgroups,
  floats,
  newTensor,
  numberedTensors,
  release,
  runProgram,
  wholeNumbers,
} from './device-program.js'
import { reluSlope } from './relu-gradient.js'

/** WGSL: max(x, 0), which lets NaN through. */
const rectified = `
fn rectified(x: f32) -> f32 {
  if (isNan(x)) { return x; }
  return max(x, 0.0);
}`

/** WGSL: the place in (groups, columns) of what belongs to the number at `flatIndex` in (groups, rows, columns). */
const placeOf = `
  if (flatIndex >= uniforms.size) { return; }
  let index = flatIndex;
  let ofGroup = uniforms.rows * uniforms.columns;
  let place = index / ofGroup * uniforms.columns + index % uniforms.columns;`

/** WGSL: where {@link normalize}'s state has the mean, 1 / sqrt(variance + epsilon) and gamma of a place. */
const stateOf = 'let center = stateAt(place); let inverse = stateAt(uniforms.places + place);'

/**
 * BatchNorm of groups of rows, each group with statistics of its own: its moments in two dispatches, or one where rows are few; its
 * outputs in one; all derivatives in three, or two.
 */
export const groupNormalization: GroupNormalization = { moments, normalize, gradient }

/** BatchNorm with the statistics of the batch, as {@link groupNormalization} of one group. */
export function batchNorm(inputs: BatchNormInputs): tf.Tensor {
  return inputs.x.size === 0 ? composedOps.batchNorm(inputs) : normalizedBatch(inputs, false)
}

/** {@link batchNorm} and ReLU in the same dispatches. */
export function batchNormRelu(inputs: BatchNormInputs): tf.Tensor {
  return inputs.x.size === 0 ? composedOps.batchNormRelu(inputs) : normalizedBatch(inputs, true)
}

function normalizedBatch(
  { x, gamma, beta, epsilon, onMoments }: BatchNormInputs,
  rectifies: boolean,
): tf.Tensor {
  return handGradient([x, gamma, beta], () => {
    const columns = { groups: 1, rows: x.size / gamma.size, columns: gamma.size }
    const { mean, variance } = momentsOf(x, columns, gamma.shape)
    onMoments({ mean: mean as tf.Tensor1D, variance: variance as tf.Tensor1D })
    const { y, state } = normalize(x, { gamma, beta, mean, variance, epsilon }, rectifies)
    return {
      value: y,
      saved: [x, state, ...(rectifies ? [y] : [])],
      gradient: (dy, [input, savedState, output]) => {
        const { dx, dGamma, dBeta } = gradient(dy, input as tf.Tensor, savedState as tf.Tensor, output)
        return [dx, dGamma, dBeta]
      },
    }
  })
}

function moments(x: tf.Tensor3D): GroupMoments {
  const [groups, rows, columns] = x.shape
  return momentsOf(x, { groups, rows, columns }, [groups, columns])
}

function momentsOf(x: tf.Tensor, columns: Columns, shape: readonly number[]): GroupMoments {
  const chunks = chunksOf(columns.rows)
  const ofChunks = chunkMoments(x, columns, chunks, shape)
  if (chunks.count === 1) return asMoments(ofChunks)
  const ofAll = joinMoments(ofChunks, columns, chunks, shape)
  release(ofChunks)
  return asMoments(ofAll)
}

function asMoments([mean, variance]: readonly tf.TensorInfo[]): GroupMoments {
  return { mean: asTensor(mean as tf.TensorInfo), variance: asTensor(variance as tf.TensorInfo) }
}

/** Mean and biased variance of each chunk of rows, the variance from differences to the mean: nothing cancels. */
function chunkMoments(
  x: tf.Tensor,
  columns: Columns,
  chunks: Chunks,
  shape: readonly number[],
): tf.TensorInfo[] {
  const ofChunks = chunks.count === 1 ? shape : [columns.groups, chunks.count, columns.columns]
  const written = numberedTensors('moments', [ofChunks, ofChunks])
  runProgram({
    name: 'ChunkMoments',
    written,
    read: [{ name: 'x', tensor: x }],
    uniforms: chunkUniforms(columns, chunks),
    ...chunkDispatch(columns, chunks),
    declarations: () => sharedLanes(['sum', 'squares']),
    body: () => `
  ${chunkPlace}
  var sum = 0.0;
  ${forEachRow('sum += xAt(index);')}
  ${addLanes(['sum'])}
  let center = shared_sum[localId.x] / f32(end - first);
  var squares = 0.0;
  ${forEachRow('let difference = xAt(index) - center; squares += difference * difference;')}
  ${addLanes(['squares'])}
  if (lane == 0 && isColumn) {
    moments0[output] = center;
    moments1[output] = shared_squares[cell] / f32(end - first);
  }`,
  })
  return written.map(({ tensor }) => tensor)
}

/** The moments of all rows from those of chunks. */
function joinMoments(
  [means, variances]: readonly tf.TensorInfo[],
  columns: Columns,
  chunks: Chunks,
  shape: readonly number[],
): tf.TensorInfo[] {
  const written = numberedTensors('moments', [shape, shape])
  const eachChunk = (code: string) => `
  for (var chunk = 0; chunk < uniforms.chunks; chunk++) {
    let index = start + chunk * uniforms.columns;
    let rows = f32(min(uniforms.rowsPerChunk, uniforms.rows - chunk * uniforms.rowsPerChunk));
    ${code}
  }`
  runProgram({
    name: 'JoinedMoments',
    written,
    read: [
      { name: 'means', tensor: means as tf.TensorInfo },
      { name: 'variances', tensor: variances as tf.TensorInfo },
    ],
    uniforms: {
      ...chunkUniforms(columns, chunks),
      ...wholeNumbers({ chunks: chunks.count, places: placesOf(columns) }),
    },
    workgroupSize: flatSize,
    workgroups: flatWorkgroups(placesOf(columns)),
    body: () => `
  if (flatIndex >= uniforms.places) { return; }
  let start = flatIndex / uniforms.columns * uniforms.chunks * uniforms.columns + flatIndex % uniforms.columns;
  var sum = 0.0;
  ${eachChunk('sum += rows * means[index];')}
  let center = sum / f32(uniforms.rows);
  var squares = 0.0;
  ${eachChunk('let difference = means[index] - center; squares += rows * (variances[index] + difference * difference);')}
  moments0[flatIndex] = center;
  moments1[flatIndex] = squares / f32(uniforms.rows);`,
  })
  return written.map(({ tensor }) => tensor)
}

/** The outputs, and a state for {@link gradient}: mean, 1 / sqrt(variance + epsilon) and gamma in one tensor. */
function normalize<T extends tf.Tensor>(
  x: T,
  { gamma, beta, mean, variance, epsilon }: GroupNorm,
  rectifies: boolean,
): { y: T; state: tf.Tensor } {
  const columns = columnsOf(x, mean)
  const [y, state] = [newTensor(x.shape), newTensor([3, ...mean.shape])]
  const output = '(xAt(index) - center) * (inverse * scale) + betaAt(place)'
  runProgram({
    name: rectifies ? 'BatchNormRelu' : 'BatchNorm',
    written: [
      { name: 'y', tensor: y },
      { name: 'state', tensor: state },
    ],
    read: Object.entries({ x, mean, variance, gamma, beta }).map(([name, tensor]) => ({ name, tensor })),
    uniforms: {
      ...wholeNumbers({ ...columns, size: x.size, places: mean.size }),
      ...floats({ epsilon }),
    },
    workgroupSize: flatSize,
    workgroups: flatWorkgroups(x.size),
    declarations: () => rectified,
    body: () => `
  ${placeOf}
  let center = meanAt(place);
  let inverse = inverseSqrt(varianceAt(place) + uniforms.epsilon);
  let scale = gammaAt(place);
  y[index] = ${rectifies ? `rectified(${output})` : output};
  if (index % ofGroup < uniforms.columns) {
    state[place] = center;
    state[uniforms.places + place] = inverse;
    state[2 * uniforms.places + place] = scale;
  }`,
  })
  return { y: asTensor(y), state: asTensor(state) }
}

/**
 * The derivatives of {@link normalize} with the moments of its input.
 *
 * @param y its output where it rectifies
 */
function gradient<T extends tf.Tensor>(
  dy: T,
  x: T,
  state: tf.Tensor,
  y?: T,
): { dx: T; dGamma: tf.Tensor; dBeta: tf.Tensor } {
  const shape = state.shape.slice(1)
  const places = state.size / 3
  const columns = columnsOf(x, { shape, size: places })
  const read = Object.entries({ dy, x, state, ...(y && { y }) }).map(([name, tensor]) => ({ name, tensor }))
  const slope = y ? 'beforeRelu(dyAt(index), yAt(index))' : 'dyAt(index)'
  const [dBeta, dGamma] = columnSums({
    ...columns,
    name: y ? 'BatchNormReluSums' : 'BatchNormSums',
    shape,
    read,
    uniforms: wholeNumbers({ places }),
    declarations: reluSlope,
    once: stateOf,
    summands: [slope, `${slope} * (xAt(index) - center) * inverse`],
  }) as [tf.TensorInfo, tf.TensorInfo]
  const dx = newTensor(x.shape)
  runProgram({
    name: y ? 'BatchNormReluGradient' : 'BatchNormGradient',
    written: [{ name: 'dx', tensor: dx }],
    read: [...read, { name: 'dGamma', tensor: dGamma }, { name: 'dBeta', tensor: dBeta }],
    uniforms: wholeNumbers({ ...columns, size: x.size, places }),
    workgroupSize: flatSize,
    workgroups: flatWorkgroups(x.size),
    declarations: () => reluSlope,
    body: () => `
  ${placeOf}
  ${stateOf}
  let normalized = (xAt(index) - center) * inverse;
  let throughMoments = (dBetaAt(place) + normalized * dGammaAt(place)) / f32(uniforms.rows);
  dx[index] = (${slope} - throughMoments) * (inverse * stateAt(2 * uniforms.places + place));`,
  })
  return { dx: asTensor(dx), dGamma: asTensor(dGamma), dBeta: asTensor(dBeta) }
}

/** A tensor as groups of rows, from what there is one of for each column of each group: (C), or (G,C). */
function columnsOf(x: tf.Tensor, perColumn: Pick<tf.Tensor, 'shape' | 'size'>): Columns {
  const columns = perColumn.shape.at(-1) as number
  return { groups: perColumn.size / columns, rows: x.size / perColumn.size, columns }
}

function placesOf({ groups, columns }: Columns): number {
  return groups * columns
}
