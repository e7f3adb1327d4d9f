import type * as tf from '@tensorflow/tfjs-core'
import { type TiledProduct, tiledProduct } from './tiled-product.js'

/** tfjs's program of a product whose inner axis is long and whose result is small. */
export interface SharedOutProgram {
  readonly shaderKey: string
  readonly transposeA: boolean
  readonly transposeB: boolean
  readonly outputShape: readonly number[]
}

/** Whether a program is tfjs's that adds parts of the inner axis in whatever order they come, so that two runs differ. */
export function addsInAnyOrder(program: object): program is SharedOutProgram {
  return (program as SharedOutProgram).shaderKey?.startsWith('matMulSplitK') === true
}

/**
 * The same product, (1,M,K) x (1,K,N) or transposed, with parts added in their order.
 *
 * @returns a new tensor in the shape of the program's output
 */
export function productInOrder(
  { transposeA, transposeB }: SharedOutProgram,
  [a, b]: readonly [tf.TensorInfo, tf.TensorInfo],
  shape: readonly number[],
): tf.TensorInfo {
  const [, rows, columns] = shape as [number, number, number]
  const product: TiledProduct = {
    name: 'Product',
    variant: `${transposeA} ${transposeB}`,
    groups: 1,
    rows,
    inner: a.shape[transposeA ? 1 : 2] as number,
    columns,
    read: [
      { name: 'a', tensor: a },
      { name: 'b', tensor: b },
    ],
    leftAlong: transposeA ? 'rows' : 'inner',
    results: [shape],
    code: () => `
fn leftAt(group: i32, row: i32, k: i32) -> f32 {
  return aAt(${transposeA ? 'k * uniforms.rows + row' : 'row * uniforms.inner + k'});
}
fn rightAt(group: i32, k: i32, column: i32) -> f32 {
  return bAt(${transposeB ? 'column * uniforms.inner + k' : 'k * uniforms.columns + column'});
}
fn place0(group: i32, row: i32, column: i32) -> i32 { return row * uniforms.columns + column; }`,
  }
  return tiledProduct(product)[0] as tf.TensorInfo
}
