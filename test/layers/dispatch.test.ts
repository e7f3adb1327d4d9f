import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { dispatchGradient, dispatchPatches, gatherRows, windowRows } from '../../src/layers/moe/dispatch.js'
import { patchGrid, windowTable } from '../../src/layers/moe/patches.js'
import { random } from '../../src/random.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { drawTensor, holds, innerProduct, keptOf, settings } from './random-tensors.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

//  0  1 |  2  3
//  4  5 |  6  7
// ------+------
//  8  9 | 10 11
// 12 13 | 14 15
const GRID = patchGrid([4, 4], [2, 2], 'T')
const MAP = Array.from({ length: 16 }, (_, pixel) => pixel)

describe('windowRows', () => {
  it('numbers rows within the whole batch, expert by expert', () => {
    // Two images of 8 rows of 2 pixels. Expert 0 keeps patch 0 of image 0 (rows 0, 2) and patch 3 of image 1 (rows
    // 5, 7, 8 further); expert 1 keeps patch 1 (rows 1, 3) of both.
    const indices = tf.tensor3d([0, 1, 3, 1], [2, 2, 1], 'int32')
    const rows = windowRows(indices, windowTable(GRID, [0, 0]))
    expect(rows.dtype).toBe('int32')
    expect(rows.arraySync()).toEqual([
      [[[0, 2]], [[13, 15]]],
      [[[1, 3]], [[9, 11]]],
    ])
  })
})

describe('gatherRows', () => {
  it('takes rows in any order and number, keeping the shape of their numbers', () => {
    const matrix = tf.tensor2d([1, 2, 3, 4, 5, 6], [3, 2])
    expect(gatherRows(matrix, tf.tensor2d([2, 0, 2, 2], [2, 2], 'int32')).arraySync()).toEqual([
      [
        [5, 6],
        [1, 2],
      ],
      [
        [5, 6],
        [5, 6],
      ],
    ])
  })
})

describe('dispatchPatches', () => {
  const x = () => tf.tensor4d(MAP, [1, 4, 4, 1])

  it('gathers kept patches in the order of their choice', () => {
    const indices = tf.tensor3d([3, 0, 2, 3], [1, 2, 2], 'int32')
    const { windows, inside } = dispatchPatches(x(), indices, windowTable(GRID, [0, 0]))
    expect(windows.shape).toEqual([2, 2, 2, 2, 1])
    expect(Array.from(windows.dataSync())).toEqual([10, 11, 14, 15, 0, 1, 4, 5, 8, 9, 12, 13, 10, 11, 14, 15])
    expect(inside).toBeUndefined()
  })

  it('shows neighbours where windows reach out, and zeros past the map', () => {
    const plusOne = tf.add(x(), 1) as tf.Tensor4D
    const { windows, inside } = dispatchPatches(
      plusOne,
      tf.tensor3d([2], [1, 1, 1], 'int32'),
      windowTable(GRID, [1, 1]),
    )
    // Patch 2 with the row above it, the column at its right, and nothing left and below.
    expect(Array.from(windows.dataSync())).toEqual([0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 0, 0, 0])
    expect(Array.from(inside?.dataSync() ?? [])).toEqual([0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0])
  })

  it('keeps the channels of a pixel together', () => {
    const colours = tf.tensor4d([1, 10, 2, 20, 3, 30, 4, 40], [1, 2, 2, 2])
    const table = windowTable(patchGrid([2, 2], [2, 1], 'T'), [0, 0])
    const { windows } = dispatchPatches(colours, tf.tensor3d([1], [1, 1, 1], 'int32'), table)
    expect(Array.from(windows.dataSync())).toEqual([2, 20, 4, 40])
  })
})

describe('dispatchGradient', () => {
  it('adds up where a patch was kept twice', () => {
    const table = windowTable(GRID, [0, 0])
    const { rows } = dispatchPatches(tf.zeros([1, 4, 4, 1]), tf.tensor3d([1, 1], [1, 2, 1], 'int32'), table)
    const dWindows = tf.tensor5d([1, 2, 3, 4, 10, 20, 30, 40], [2, 1, 2, 2, 1])
    expect(dispatchGradient(dWindows, rows, [1, 4, 4, 1], table).arraySync()).toEqual([
      [
        [[0], [0], [11], [22]],
        [[0], [0], [33], [44]],
        [[0], [0], [0], [0]],
        [[0], [0], [0], [0]],
      ],
    ])
  })

  it('adds up where windows overlap', () => {
    // A row of 3 patches of one pixel, each seeing one neighbour a side; all kept. Ones everywhere: the ends lie in two
    // windows, the middle in three.
    const table = windowTable(patchGrid([1, 3], [1, 1], 'T'), [0, 1])
    const indices = tf.tensor3d([0, 1, 2], [1, 1, 3], 'int32')
    const { rows, inside } = dispatchPatches(tf.zeros([1, 1, 3, 1]), indices, table)
    const dx = dispatchGradient(inside as tf.Tensor5D, rows, [1, 1, 3, 1], table)
    expect(Array.from(dx.dataSync())).toEqual([2, 3, 2])
  })

  it('is the adjoint of dispatchPatches for any grid, reach and choice, repeated patches included', () => {
    holds(
      settings,
      ({ cells, patch, reach, batch, channels, experts, keep, seed }) => {
        const grid = patchGrid([cells[0] * patch[0], cells[1] * patch[1]], patch, 'T')
        const kept = keptOf(keep, grid.count)
        const choice = random(seed, 'choice')
        const indices = tf.tensor3d(
          Int32Array.from({ length: batch * experts * kept }, () => choice.below(grid.count)),
          [batch, experts, kept],
          'int32',
        )
        const table = windowTable(grid, reach)
        const x: tf.Tensor4D = drawTensor([batch, ...grid.map, channels], seed)
        const { windows, rows, inside } = dispatchPatches(x, indices, table)
        const any: tf.Tensor5D = drawTensor(windows.shape, seed + 1)
        const y: tf.Tensor5D = inside ? tf.mul(any, inside) : any
        const dx = dispatchGradient(y, rows, x.shape, table)
        expect(dx.shape).toEqual(x.shape)
        expectAllClose([innerProduct(x, dx)], [innerProduct(windows, y)], 1e-4, 1e-3)
      },
      80,
    )
  })
})
