import type * as tf from '@tensorflow/tfjs-core'
import {
  asTensor,
  deviceLimits,
  flatWorkgroups,
  floats,
  newTensor,
  release,
  runProgram,
  wholeNumbers,
} from './device-program.js'

/** Invocations of a workgroup, and numbers that each of them squares. */
const INVOCATIONS = 256
const EACH = 16

/** WGSL that adds what the invocations of a workgroup hold in `sum`, so that `shared_sum[0]` has it. */
const addInvocations = `
  shared_sum[localId.x] = sum;
  workgroupBarrier();
  for (var half = ${INVOCATIONS / 2}u; half > 0u; half = half / 2u) {
    if (localId.x < half) { shared_sum[localId.x] += shared_sum[localId.x + half]; }
    workgroupBarrier();
  }`

const declarations = `var<workgroup> shared_sum: array<f32, ${INVOCATIONS}>;`

/**
 * What gradients are multiplied by so that their norm, that of all of them as one vector, is at most `most`: 1 where it is. One dispatch
 * for as many gradients as the device has buffers for, and one for the sum of their parts.
 */
export function clipFactor(gradients: readonly tf.Tensor[], most: number): tf.Tensor {
  const filled = gradients.filter(({ size }) => size > 0)
  const together = deviceLimits().maxStorageBuffersPerShaderStage - 1
  const groups = Array.from({ length: Math.ceil(filled.length / together) }, (_, i) =>
    filled.slice(i * together, (i + 1) * together),
  )
  const partsOf = (group: readonly tf.Tensor[]) => Math.ceil(sizeOf(group) / (INVOCATIONS * EACH))
  const count = groups.reduce((sum, group) => sum + partsOf(group), 0)
  const [squares, factor] = [newTensor([Math.max(1, count)]), newTensor([])]
  let first = 0
  for (const group of groups) {
    addSquares(group, squares, first, partsOf(group))
    first += partsOf(group)
  }
  runProgram({
    name: 'ClipFactor',
    written: [{ name: 'factor', tensor: factor }],
    read: [{ name: 'squares', tensor: squares }],
    uniforms: { ...wholeNumbers({ count }), ...floats({ most }) },
    workgroupSize: [INVOCATIONS, 1],
    workgroups: [1, 1, 1],
    declarations: () => declarations,
    body: () => `
  var sum = 0.0;
  for (var part = i32(localId.x); part < uniforms.count; part += ${INVOCATIONS}) { sum += squares[part]; }
  ${addInvocations}
  if (localId.x == 0u) {
    let norm = sqrt(shared_sum[0]);
    factor[0] = select(uniforms.most / max(norm, uniforms.most), norm, isNan(norm));
  }`,
  })
  release([squares])
  return asTensor(factor)
}

function addSquares(
  gradients: readonly tf.Tensor[],
  squares: tf.TensorInfo,
  first: number,
  parts: number,
): void {
  const sizes = Object.fromEntries(gradients.map(({ size }, i) => [`size${i}`, size]))
  const adding = (_: tf.Tensor, i: number) => `
    if (index >= 0 && index < uniforms.size${i}) { let g = gradient${i}At(index); sum += g * g; }
    index -= uniforms.size${i};`
  runProgram({
    name: 'SquaredNorms',
    variant: `${gradients.length}`,
    written: [{ name: 'squares', tensor: squares }],
    read: gradients.map((tensor, i) => ({ name: `gradient${i}`, tensor })),
    uniforms: wholeNumbers({ first, parts, ...sizes }),
    workgroupSize: [INVOCATIONS, 1],
    workgroups: flatWorkgroups(parts * INVOCATIONS),
    declarations: () => declarations,
    body: () => `
  let part = i32(groupId.y * groups.x + groupId.x);
  var sum = 0.0;
  for (var turn = 0; turn < ${EACH}; turn++) {
    var index = (part * ${EACH} + turn) * ${INVOCATIONS} + i32(localId.x);
    ${gradients.map(adding).join('')}
  }
  ${addInvocations}
  if (localId.x == 0u && part < uniforms.parts) { squares[uniforms.first + part] = shared_sum[0]; }`,
  })
}

function sizeOf(tensors: readonly tf.Tensor[]): number {
  return tensors.reduce((sum, { size }) => sum + size, 0)
}
