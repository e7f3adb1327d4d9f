import * as tf from '@tensorflow/tfjs-core'
import { deviceLimits, isOnHost, newTensor, runProgram, wholeNumbers } from './device-program.js'

/** Numbers of a row that one workgroup sorts in its memory: 8 KB of the 16 that every device has. */
const MOST_NUMBERS = 1024

/** Invocations that sort a row. */
const INVOCATIONS = 256

/**
 * The largest numbers of each row of up to 1,024, largest first and equal ones in their order, in one dispatch; the original takes one
 * for each step of its sorting. NaN counts as larger than every number. Longer rows and whole numbers stay with the original.
 */
export function sortedInWorkgroup(original: tf.KernelFunc): tf.KernelFunc {
  return params => {
    const x = params.inputs.x as tf.TensorInfo
    const { k } = params.attrs as unknown as { readonly k: number }
    const width = x.shape.at(-1) ?? 0
    const rows = tf.util.sizeFromShape(x.shape) / width
    const most = deviceLimits().maxComputeWorkgroupsPerDimension ** 2
    const suits = x.dtype === 'float32' && k > 0 && width > 1 && width <= MOST_NUMBERS && rows > 0
    if (!suits || rows > most || isOnHost(x)) return original(params)
    return topOfRows(x, k, rows)
  }
}

function topOfRows(x: tf.TensorInfo, k: number, rows: number): tf.TensorInfo[] {
  const width = x.shape.at(-1) as number
  const shape = x.shape.with(-1, k)
  const [values, indices] = [newTensor(shape), newTensor(shape, 'int32')]
  const across = Math.min(rows, deviceLimits().maxComputeWorkgroupsPerDimension)
  const sorted = 2 ** Math.ceil(Math.log2(width))
  runProgram({
    name: 'TopK',
    variant: `${sorted}`,
    written: [
      { name: 'values', tensor: values },
      { name: 'indices', tensor: indices },
    ],
    read: [{ name: 'x', tensor: x }],
    uniforms: wholeNumbers({ rows, width, k }),
    workgroupSize: [INVOCATIONS, 1],
    workgroups: [across, Math.ceil(rows / across), 1],
    declarations: () => orderOfNumbers(sorted),
    body: () => `
  let row = i32(groupId.y * groups.x + groupId.x);
  let first = min(row, uniforms.rows - 1) * uniforms.width;
  let invocation = i32(localId.x);
  for (var i = invocation; i < ${sorted}; i += ${INVOCATIONS}) {
    places[i] = i;
    keys[i] = 0u;
    if (i < uniforms.width) { keys[i] = keyOf(xAt(first + i)); }
  }
  workgroupBarrier();
  for (var size = 2; size <= ${sorted}; size *= 2) {
    for (var distance = size / 2; distance > 0; distance /= 2) {
      for (var pair = invocation; pair < ${sorted / 2}; pair += ${INVOCATIONS}) {
        let a = pair / distance * distance * 2 + pair % distance;
        let b = a + distance;
        let isDescending = (a & size) == 0;
        if (isBefore(b, a) == isDescending) {
          let key = keys[a];
          let place = places[a];
          keys[a] = keys[b];
          places[a] = places[b];
          keys[b] = key;
          places[b] = place;
        }
      }
      workgroupBarrier();
    }
  }
  if (row < uniforms.rows) {
    for (var i = invocation; i < uniforms.k; i += ${INVOCATIONS}) {
      values[row * uniforms.k + i] = xAt(first + places[i]);
      indices[row * uniforms.k + i] = places[i];
    }
  }`,
  })
  return [values, indices]
}

/** Keys that are ordered as the numbers are, and which of two places comes first. */
function orderOfNumbers(sorted: number): string {
  return `
var<workgroup> keys: array<u32, ${sorted}>;
var<workgroup> places: array<i32, ${sorted}>;
// In the order of the numbers: zeros of both signs are equal, and so is every NaN, above all others. None is 0, that of no number.
fn keyOf(x: f32) -> u32 {
  if (isNan(x)) { return 0xffffffffu; }
  let bits = bitcast<u32>(x);
  if ((bits & 0x7fffffffu) == 0u) { return 0x80000000u; }
  return select(bits | 0x80000000u, ~bits, bits > 0x80000000u);
}
fn isBefore(a: i32, b: i32) -> bool {
  return keys[a] > keys[b] || (keys[a] == keys[b] && places[a] < places[b]);
}`
}
