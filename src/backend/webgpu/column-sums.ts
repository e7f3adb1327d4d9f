import type * as tf from '@tensorflow/tfjs-core'
import { shapeSize } from '../../shapes.js'
import {
  flatSize,
  flatWorkgroups,
  floats,
  numberedTensors,
  type ProgramBuffer,
  release,
  runProgram,
  type Uniform,
  wholeNumbers,
} from './device-program.js'

/** Neighbouring columns that a workgroup sums, and the rows that it reads at a time. */
const LANES = 16

/** Rows that one workgroup sums before a second pass over such sums is worth its dispatch. */
const LEAST_ROWS = 32 * LANES

/** Workgroups along the rows, at most. */
const MOST_CHUNKS = 128

/** Matrices in a row, each of whose columns is summed: (groups, rows, columns). */
export interface Columns {
  readonly groups: number
  readonly rows: number
  readonly columns: number
}

/** What is summed over the rows of {@link Columns}. */
export interface ColumnSums extends Columns {
  /** Of the computation, as counters show it; one for each form of its code. */
  readonly name: string
  /** Of each tensor of sums: as many numbers as there are columns in all groups. */
  readonly shape: readonly number[]
  readonly read: readonly ProgramBuffer[]
  readonly uniforms?: Readonly<Record<string, Uniform>>
  readonly declarations?: string
  /** WGSL before the rows are read; `place` is that of the group's column among all. */
  readonly once?: string
  /** WGSL expressions of what is summed, one for each tensor of sums, from `index`, the number's place. */
  readonly summands: readonly string[]
  /** What the sums are multiplied by; 1 unless given. */
  readonly scale?: number
}

/** Sums over rows in a fixed order, by two dispatches or, where the rows are few, by one. */
export function columnSums(sums: ColumnSums): tf.TensorInfo[] {
  const chunks = chunksOf(sums.rows)
  const { shape, groups, columns, scale } = sums
  if (chunks.count === 1) return chunkSums(sums, chunks)
  const parts = chunkSums({ ...sums, shape: [groups, chunks.count, columns], scale: 1 }, chunks)
  const all = sumsOfParts({
    name: 'ColumnSums',
    parts: parts.map(tensor => ({ tensor, shape })),
    count: chunks.count,
    groups,
    ...(scale !== undefined && { scale }),
  })
  release(parts)
  return all
}

/** Rows, cut into chunks of which each is a workgroup's. */
export interface Chunks {
  readonly count: number
  readonly rowsPerChunk: number
}

/** How rows are cut. */
export function chunksOf(rows: number): Chunks {
  const rowsPerChunk = Math.max(LEAST_ROWS, Math.ceil(rows / MOST_CHUNKS))
  return { count: Math.ceil(rows / rowsPerChunk), rowsPerChunk }
}

/** The dispatch that gives each chunk of each block of columns a workgroup. */
export function chunkDispatch({ groups, columns }: Columns, { count }: Chunks) {
  return {
    workgroupSize: [LANES, LANES] as const,
    workgroups: [Math.ceil(columns / LANES), count, groups] as const,
  }
}

/** WGSL that says which rows of which column an invocation reads. */
export const chunkPlace = `
  let lane = i32(localId.y);
  let cell = lane * ${LANES} + i32(localId.x);
  let column = i32(groupId.x) * ${LANES} + i32(localId.x);
  let group = i32(groupId.z);
  let place = group * uniforms.columns + column;
  let first = i32(groupId.y) * uniforms.rowsPerChunk;
  let end = min(first + uniforms.rowsPerChunk, uniforms.rows);
  let isColumn = column < uniforms.columns;
  let output = (group * i32(groups.y) + i32(groupId.y)) * uniforms.columns + column;`

/** WGSL that does something for each number that an invocation reads. */
export function forEachRow(code: string): string {
  return `
  if (isColumn) {
    for (var row = first + lane; row < end; row += ${LANES}) {
      let index = (group * uniforms.rows + row) * uniforms.columns + column;
      ${code}
    }
  }`
}

/** WGSL that adds what the lanes of a workgroup hold, so that the first lane has the sum in `shared_NAME[cell]`. */
export function addLanes(names: readonly string[]): string {
  const each = (code: (name: string) => string) => names.map(code).join(' ')
  return `
  ${each(name => `shared_${name}[cell] = ${name};`)}
  workgroupBarrier();
  for (var half = ${LANES / 2}; half > 0; half = half / 2) {
    if (lane < half) { ${each(name => `shared_${name}[cell] += shared_${name}[cell + half * ${LANES}];`)} }
    workgroupBarrier();
  }`
}

/** The declarations that {@link addLanes} needs. */
export function sharedLanes(names: readonly string[]): string {
  return names.map(name => `var<workgroup> shared_${name}: array<f32, ${LANES * LANES}>;`).join('\n')
}

/** The uniforms that {@link chunkPlace} needs. */
export function chunkUniforms({ rows, columns }: Columns, { rowsPerChunk }: Chunks) {
  return wholeNumbers({ rows, columns, rowsPerChunk })
}

/** The sums of each chunk. */
function chunkSums(sums: ColumnSums, chunks: Chunks): tf.TensorInfo[] {
  const { name, shape, read, uniforms, declarations = '', once = '', summands, scale = 1 } = sums
  const written = numberedTensors('sums', Array(summands.length).fill(shape))
  const names = summands.map((_, i) => `sum${i}`)
  runProgram({
    name,
    written,
    read,
    uniforms: { ...chunkUniforms(sums, chunks), ...floats({ scale }), ...uniforms },
    ...chunkDispatch(sums, chunks),
    declarations: () => `${sharedLanes(names)} ${declarations}`,
    body: () => `
  ${chunkPlace}
  ${names.map(sum => `var ${sum} = 0.0;`).join(' ')}
  ${once}
  ${forEachRow(summands.map((summand, i) => `sum${i} += ${summand};`).join(' '))}
  ${addLanes(names)}
  if (lane == 0 && isColumn) {
    ${names.map((sum, i) => `sums${i}[output] = shared_${sum}[cell] * uniforms.scale;`).join(' ')}
  }`,
  })
  return written.map(({ tensor }) => tensor)
}

/** Numbers that come in parts: (groups, parts, ...). */
export interface Parts {
  readonly tensor: tf.TensorInfo
  /** Of the sums of its parts. */
  readonly shape: readonly number[]
}

/** Parts to be added. */
export interface PartSums {
  readonly name: string
  readonly parts: readonly Parts[]
  /** Parts of each tensor. */
  readonly count: number
  /** Groups that each tensor has before its parts; 1 unless given. */
  readonly groups?: number
  /** What the sums are multiplied by; 1 unless given. */
  readonly scale?: number
}

/** Adds parts in their order, in one dispatch for all tensors. */
export function sumsOfParts({ name, parts, count, groups = 1, scale = 1 }: PartSums): tf.TensorInfo[] {
  const written = numberedTensors(
    'sums',
    parts.map(({ shape }) => shape),
  )
  const sizes = parts.map(({ shape }) => shapeSize(shape))
  const ofParts = sizes.flatMap((size, i) => [
    [`size${i}`, size],
    [`width${i}`, size / groups],
  ])
  const uniforms = { ...wholeNumbers({ count, ...Object.fromEntries(ofParts) }), ...floats({ scale }) }
  const adding = (_: Parts, i: number) => `
  if (index >= 0 && index < uniforms.size${i}) {
    let group = index / uniforms.width${i};
    let start = group * uniforms.count * uniforms.width${i} + index - group * uniforms.width${i};
    var sum = 0.0;
    for (var part = 0; part < uniforms.count; part++) { sum += parts${i}[start + part * uniforms.width${i}]; }
    sums${i}[index] = sum * uniforms.scale;
  }
  index -= uniforms.size${i};`
  runProgram({
    name,
    variant: `${parts.length}`,
    written,
    read: parts.map(({ tensor }, i) => ({ name: `parts${i}`, tensor })),
    uniforms,
    workgroupSize: flatSize,
    workgroups: flatWorkgroups(sizes.reduce((sum, size) => sum + size, 0)),
    body: () => `var index = flatIndex; ${parts.map(adding).join('')}`,
  })
  return written.map(({ tensor }) => tensor)
}
