import type * as tf from '@tensorflow/tfjs-core'
import { shapeSize } from '../../shapes.js'
import { sumsOfParts } from './column-sums.js'
import {
  deviceLimits,
  numberedTensors,
  type ProgramBuffer,
  release,
  runProgram,
  wholeNumbers,
} from './device-program.js'

/** Invocations along each side of a workgroup. */
const SIDE = 16

/** Rows of a workgroup's tile, and how much of the inner axis it has in its memory at a time. */
const TILE_ROWS = 4 * SIDE
const TILE_INNER = SIDE

/** Workgroups that keep a large GPU busy; the inner axis is shared out among them where there are fewer tiles. */
const BUSY = 512

/** Numbers of the inner axis below which it is not shared out. */
const LEAST_INNER = 512

/** Bytes that the sums of parts of the inner axis may take together. */
const MOST_PART_BYTES = 2 ** 26

/** Products of matrices that need not lie in memory: (groups, rows, inner) x (groups, inner, columns). */
export interface TiledProduct {
  /** Of the computation, as counters show it; one for each form of its code. */
  readonly name: string
  /** The numbers that are written into its code. */
  readonly variant: string
  readonly groups: number
  readonly rows: number
  readonly inner: number
  readonly columns: number
  readonly read: readonly ProgramBuffer[]
  /** Whole numbers, as `uniforms.NAME` beside `rows`, `inner` and `columns`. */
  readonly numbers?: Readonly<Record<string, number>>
  /**
   * WGSL with the functions `leftAt(group, row, k)` and `rightAt(group, k, column)`, which are asked within the bounds alone, and
   * `place0(group, row, column)`, `place1`, ...: where a product goes in each result, or -1 where it does not.
   */
  code(): string
  /** Shapes of the results. */
  readonly results: readonly (readonly number[])[]
  /** Which axis neighbouring invocations read the left matrix along. */
  readonly leftAlong: 'rows' | 'inner'
}

/** Computes products by tiles in the workgroups' memory: one dispatch, and one that adds parts where the inner axis is shared out. */
export function tiledProduct(product: TiledProduct): tf.TensorInfo[] {
  const { name, results, groups } = product
  const { splits, innerPerSplit } = splitsOf(product)
  const sizes = results.map(shape => shapeSize(shape))
  const written =
    splits === 1
      ? numberedTensors('result', results)
      : numberedTensors(
          'result',
          sizes.map(size => [splits, size]),
        )
  const tileColumns = tileColumnsOf(product.columns)
  runProgram({
    name,
    variant: `${product.variant} ${tileColumns} ${splits > 1}`,
    written,
    read: product.read,
    uniforms: wholeNumbers({
      rows: product.rows,
      inner: product.inner,
      columns: product.columns,
      splits,
      innerPerSplit,
      ...Object.fromEntries(sizes.map((size, i) => [`size${i}`, size])),
      ...product.numbers,
    }),
    workgroupSize: [SIDE, SIDE],
    workgroups: [
      Math.ceil(product.columns / tileColumns),
      Math.ceil(product.rows / TILE_ROWS),
      groups * splits,
    ],
    declarations: () => `
var<workgroup> left: array<f32, ${TILE_INNER * TILE_ROWS}>;
var<workgroup> right: array<f32, ${TILE_INNER * tileColumns}>;
${product.code()}`,
    body: () => bodyOf(product, tileColumns),
  })
  const tensors = written.map(({ tensor }) => tensor)
  if (splits === 1) return tensors
  const parts = tensors.map((tensor, i) => ({ tensor, shape: results[i] as readonly number[] }))
  const sums = sumsOfParts({ name: 'ProductSums', parts, count: splits })
  release(tensors)
  return sums
}

/** Whether the device has enough workgroups along each axis for a product. */
export function fitsTiles({
  groups,
  rows,
  columns,
}: Pick<TiledProduct, 'groups' | 'rows' | 'columns'>): boolean {
  const most = deviceLimits().maxComputeWorkgroupsPerDimension
  const tiles = [Math.ceil(columns / SIDE), Math.ceil(rows / TILE_ROWS), groups]
  return tiles.every(count => count <= most)
}

/** How the inner axis is shared out. */
function splitsOf(product: TiledProduct): { splits: number; innerPerSplit: number } {
  const { groups, rows, inner, columns } = product
  const tiles = groups * Math.ceil(rows / TILE_ROWS) * Math.ceil(columns / tileColumnsOf(columns))
  const most = Math.min(
    Math.ceil(inner / LEAST_INNER),
    Math.floor(MOST_PART_BYTES / (4 * groups * rows * columns)),
    Math.floor(deviceLimits().maxComputeWorkgroupsPerDimension / groups),
  )
  const wanted = Math.max(1, Math.min(Math.ceil(BUSY / tiles), most))
  const innerPerSplit = Math.ceil(inner / wanted / TILE_INNER) * TILE_INNER
  return { splits: Math.ceil(inner / innerPerSplit), innerPerSplit }
}

function tileColumnsOf(columns: number): number {
  return columns <= SIDE ? SIDE : columns <= 2 * SIDE ? 2 * SIDE : 4 * SIDE
}

function bodyOf({ results, leftAlong }: TiledProduct, tileColumns: number): string {
  const [rowsEach, columnsEach] = [TILE_ROWS / SIDE, tileColumns / SIDE]
  const invocations = SIDE * SIDE
  const leftCell =
    leftAlong === 'rows'
      ? `let r = cell % ${TILE_ROWS}; let k = cell / ${TILE_ROWS};`
      : `let k = cell % ${TILE_INNER}; let r = cell / ${TILE_INNER};`
  const accumulators = product(rowsEach, columnsEach)
  return `
  let invocation = i32(localId.y) * ${SIDE} + i32(localId.x);
  let group = i32(groupId.z) / uniforms.splits;
  let split = i32(groupId.z) % uniforms.splits;
  let firstRow = i32(groupId.y) * ${TILE_ROWS};
  let firstColumn = i32(groupId.x) * ${tileColumns};
  let end = min((split + 1) * uniforms.innerPerSplit, uniforms.inner);
  ${accumulators.map(([i, j]) => `var sum${i}_${j} = 0.0;`).join(' ')}
  for (var start = split * uniforms.innerPerSplit; start < end; start += ${TILE_INNER}) {
    for (var cell = invocation; cell < ${TILE_INNER * TILE_ROWS}; cell += ${invocations}) {
      ${leftCell}
      var value = 0.0;
      if (firstRow + r < uniforms.rows && start + k < end) { value = leftAt(group, firstRow + r, start + k); }
      left[k * ${TILE_ROWS} + r] = value;
    }
    for (var cell = invocation; cell < ${TILE_INNER * tileColumns}; cell += ${invocations}) {
      let c = cell % ${tileColumns};
      let k = cell / ${tileColumns};
      var value = 0.0;
      if (firstColumn + c < uniforms.columns && start + k < end) { value = rightAt(group, start + k, firstColumn + c); }
      right[k * ${tileColumns} + c] = value;
    }
    workgroupBarrier();
    for (var k = 0; k < ${TILE_INNER}; k++) {
      ${count(rowsEach)
        .map(i => `let a${i} = left[k * ${TILE_ROWS} + i32(localId.y) + ${i * SIDE}];`)
        .join(' ')}
      ${count(columnsEach)
        .map(j => `let b${j} = right[k * ${tileColumns} + i32(localId.x) + ${j * SIDE}];`)
        .join(' ')}
      ${accumulators.map(([i, j]) => `sum${i}_${j} += a${i} * b${j};`).join(' ')}
    }
    workgroupBarrier();
  }
  ${accumulators.map(([i, j]) => storing(i, j, results.length)).join('')}`
}

function storing(i: number, j: number, results: number): string {
  const each = count(results).map(
    result => `
    let at${result} = place${result}(group, row, column);
    if (at${result} >= 0) { result${result}[split * uniforms.size${result} + at${result}] = sum${i}_${j}; }`,
  )
  return `
  {
    let row = firstRow + i32(localId.y) + ${i * SIDE};
    let column = firstColumn + i32(localId.x) + ${j * SIDE};
    if (row < uniforms.rows && column < uniforms.columns) { ${each.join('')} }
  }`
}

function count(length: number): number[] {
  return Array.from({ length }, (_, i) => i)
}

function product(rows: number, columns: number): [number, number][] {
  return count(rows).flatMap(i => count(columns).map((j): [number, number] => [i, j]))
}
