import * as tf from '@tensorflow/tfjs-core'
import { shapeSize } from '../../shapes.js'
import { wrapKernel } from '../corrections/wrapped-kernel.js'

/*
 * Transpositions and matrix products on wasm, put in terms of the cases that tfjs's wasm backend has fast code for:
 * transpositions of rank 3 and 4, and products of two plain matrices.
 */

type Kernel = tf.KernelConfig['kernelFunc']

/** Elements from which the detour pays for one plain matrix; below, the call itself dominates the time. */
const WORTH_SPLITTING = 2 ** 14
/** Multiply-adds of one matrix product from which the detour over plain matrices pays. */
const WORTH_UNBATCHING = 2 ** 15

/** A transposition of as few axes as possible: those of size 1 are left out, those that stay together are merged. */
export interface Transposition {
  readonly shape: readonly number[]
  readonly perm: readonly number[]
}

/** Replaces the backend `wasm`'s transposition and matrix product by detours that end in the fast cases. */
export function registerWasmProducts(): void {
  wrapKernel('wasm', tf.Transpose, transposeKernel)
  wrapKernel('wasm', tf.BatchMatMul, batchMatMulKernel)
}

/**
 * The kernel `Transpose`: the same result as tfjs's own, through its code for rank 3 and 4. That for rank 2 strides
 * through memory (45 ms for 8192x320, against 3), that for rank 5 and 6 computes every index (170 to 310 ms).
 */
function transposeKernel(original: Kernel): Kernel {
  return args => {
    const x = args.inputs.x as tf.TensorInfo
    const perm = (args.attrs as unknown as { perm: number[] }).perm
    const steps = x.dtype === 'string' ? [] : transpositionSteps(mergeAxes({ shape: x.shape, perm }))
    if (steps.length === 0) return original(args)
    let current = x
    for (const step of steps) {
      const inputs = {
        x: { ...current, dataId: current.dataId, dtype: current.dtype, shape: [...step.shape] },
      }
      const next = original({
        inputs,
        backend: args.backend,
        attrs: { perm: [...step.perm] },
      }) as tf.TensorInfo
      if (current !== x) (args.backend as tf.KernelBackend).disposeData(current.dataId)
      current = next
    }
    return { dataId: current.dataId, dtype: x.dtype, shape: perm.map(axis => x.shape[axis] as number) }
  }
}

/** The least number of axes that describe a transposition. */
export function mergeAxes({ shape, perm }: Transposition): Transposition {
  const axes = perm.filter(axis => shape[axis] !== 1)
  const groups: number[][] = []
  for (const axis of axes) {
    const last = groups.at(-1)
    const adjoins = last && between(last.at(-1) as number, axis).every(skipped => shape[skipped] === 1)
    if (adjoins) last.push(axis)
    else groups.push([axis])
  }
  const sorted = [...groups].sort((a, b) => (a[0] as number) - (b[0] as number))
  return {
    shape: sorted.map(group => shapeSize(group.map(axis => shape[axis] as number))),
    perm: groups.map(group => sorted.indexOf(group)),
  }
}

/** The axes after `first` and before `second`; `second` itself where it does not come later. */
function between(first: number, second: number): number[] {
  if (second < first) return [second]
  return Array.from({ length: second - first - 1 }, (_, i) => first + 1 + i)
}

/** The transpositions of rank 3 and 4 that make up one of merged axes; none where the plain one is as good. */
export function transpositionSteps({ shape, perm }: Transposition): Transposition[] {
  const rank = shape.length
  if (rank > 4) return axisByAxis({ shape, perm })
  const [rows = 0, columns = 0] = shape.slice(-2)
  const swapsMatrices = (rank === 2 && perm[0] === 1) || (rank === 3 && perm.join() === '0,2,1')
  if (!swapsMatrices || rows < 256 || rows * columns < WORTH_SPLITTING)
    return rank > 1 ? [{ shape, perm }] : []
  const batch = shape.slice(0, -2)
  const lead = batch.map((_, axis) => axis)
  const order = (...tail: number[]): number[] => [...lead, ...tail.map(axis => axis + lead.length)]
  const rowFactor = smallFactor(rows)
  const columnFactor = smallFactor(columns)
  if (rowFactor) return [{ shape: [...batch, rowFactor, rows / rowFactor, columns], perm: order(2, 0, 1) }]
  if (columnFactor)
    return [{ shape: [...batch, rows, columnFactor, columns / columnFactor], perm: order(1, 2, 0) }]
  return [{ shape, perm }]
}

function smallFactor(size: number): number | undefined {
  return [2, 3, 5, 7].find(factor => size % factor === 0 && size > factor)
}

/** Brings one axis after the other to its place: (done, before, axis, after) -> (done, axis, before, after). */
function axisByAxis({ shape, perm }: Transposition): Transposition[] {
  const steps: Transposition[] = []
  const remaining = shape.map((_, axis) => axis)
  let done = 1
  for (const axis of perm) {
    const position = remaining.indexOf(axis)
    const size = (axes: number[]): number => shapeSize(axes.map(other => shape[other] as number))
    const [before, own, after] = [
      remaining.slice(0, position),
      remaining.slice(position, position + 1),
      remaining.slice(position + 1),
    ]
    if (position > 0) {
      const step = mergeAxes({ shape: [done, size(before), size(own), size(after)], perm: [0, 2, 1, 3] })
      steps.push(...transpositionSteps(step))
    }
    done *= size(own)
    remaining.splice(position, 1)
  }
  return steps
}

/**
 * The kernel `BatchMatMul`: matrix by matrix and without transposed operands, which runs on XNNPACK (38 GFLOP/s, against 3
 * for a batch of more than one and for a transposed operand). Batches that broadcast against each other are written out
 * first: tfjs's own kernel pairs the wrong matrices there.
 */
function batchMatMulKernel(original: Kernel): Kernel {
  return args => {
    const a = args.inputs.a as tf.Tensor
    const b = args.inputs.b as tf.Tensor
    const { transposeA, transposeB } = args.attrs as unknown as { transposeA: boolean; transposeB: boolean }
    const [rows = 0, inner = 0] = transposeA ? a.shape.slice(-2).reverse() : a.shape.slice(-2)
    const columns = b.shape.at(transposeB ? -2 : -1) ?? 0
    const batch = a.shape.slice(0, -2)
    const plain = batch.every(size => size === 1) && !transposeA && !transposeB
    const sameBatch = batch.join() === b.shape.slice(0, -2).join()
    if (!sameBatch && mixesBatches(a, b)) {
      const shape = tf.backend_util.assertAndGetBroadcastShape(batch, b.shape.slice(0, -2))
      const [left, right] = [a, b].map(x => tf.broadcastTo(x, [...shape, ...x.shape.slice(-2)]))
      const product = tf.matMul(left as tf.Tensor, right as tf.Tensor, transposeA, transposeB)
      tf.dispose([left, right])
      return product
    }
    if (plain || !sameBatch || rows * inner * columns < WORTH_UNBATCHING) return original(args)
    return tf.tidy(() => {
      const left = matrices(transposeA ? swapped(a) : a)
      const right = matrices(transposeB ? swapped(b) : b)
      const products = left.map((matrix, i) => tf.matMul(matrix, right[i] as tf.Tensor2D))
      const joined = products.length === 1 ? (products[0] as tf.Tensor2D) : tf.concat(products, 0)
      return tf.reshape(joined, [...batch, rows, columns])
    })
  }
}

/**
 * Whether each of two batches has axes that the other one broadcasts along, or one of them broadcasts along some axes only:
 * tfjs's kernel pairs matrices by their number in the batch, which is right only where one batch is a single matrix.
 */
function mixesBatches(a: tf.Tensor, b: tf.Tensor): boolean {
  return [a, b].every(({ shape }) => tf.util.sizeFromShape(shape.slice(0, -2)) > 1)
}

/** (..., M, N) -> (..., N, M). */
function swapped(x: tf.Tensor): tf.Tensor {
  const lead = x.shape.slice(0, -2).map((_, axis) => axis)
  return tf.transpose(x, [...lead, x.rank - 1, x.rank - 2])
}

/** (..., M, N) as a list of (M, N). */
function matrices(x: tf.Tensor): tf.Tensor2D[] {
  const [rows = 0, columns = 0] = x.shape.slice(-2)
  const all = tf.reshape(x, [-1, rows, columns])
  const count = all.shape[0] ?? 0
  if (count === 1) return [tf.reshape(all, [rows, columns])]
  return Array.from({ length: count }, (_, i) =>
    tf.reshape(tf.slice(all, [i, 0, 0], [1, rows, columns]), [rows, columns]),
  )
}
