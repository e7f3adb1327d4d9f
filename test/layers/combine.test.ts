import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { combineGradient, combineOutputs, outputRows } from '../../src/layers/moe/combine.js'
import { dispatchPatches } from '../../src/layers/moe/dispatch.js'
import { patchGrid, windowTable } from '../../src/layers/moe/patches.js'
import { permutation, random } from '../../src/random.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { drawTensor, holds, innerProduct, keptOf, settings } from './random-tensors.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

/** (B,K,L): L different patches for each expert and image. */
function anyChoice(shape: readonly [number, number, number], patches: number, seed: number): tf.Tensor3D {
  const [batch, experts, kept] = shape
  const source = random(seed, 'choice')
  const rows = Array.from({ length: batch * experts }, () => [...permutation(patches, source)].slice(0, kept))
  return tf.tensor3d(rows.flat(), [batch, experts, kept], 'int32')
}

describe('combineOutputs', () => {
  // A map of 2x2 pixels in two patches of 2x1: patch 0 is pixels 0 and 2, patch 1 pixels 1 and 3.
  const pixels = windowTable(patchGrid([2, 2], [2, 1], 'T'), [0, 0], 1)
  // Expert 0 keeps patch 1, expert 1 patch 0.
  const choice = () => tf.tensor3d([1, 0], [1, 2, 1], 'int32')

  it('finds the rows of F channels: pixel number times K plus expert', () => {
    // Expert 0: pixels 1 and 3 -> 2, 6. Expert 1: pixels 0 and 2 -> 0 + 1, 4 + 1.
    const rows = outputRows(choice(), pixels)
    expect(rows.dtype).toBe('int32')
    expect(Array.from(rows.dataSync())).toEqual([2, 6, 1, 5])
  })

  it("puts each expert's channels where its patches lie, and 0 elsewhere", () => {
    // F = 2: expert 0 owns channels 0 and 1, expert 1 channels 2 and 3.
    const outputs = tf.tensor3d([1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 2])
    const y = combineOutputs(outputs, outputRows(choice(), pixels), [1, 2, 2, 4])
    expect(y.arraySync()).toEqual([
      [
        [
          [0, 0, 5, 6],
          [1, 2, 0, 0],
        ],
        [
          [0, 0, 7, 8],
          [3, 4, 0, 0],
        ],
      ],
    ])
  })

  it('has a gradient that takes the same rows', () => {
    const dy = tf.tensor4d([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], [1, 2, 2, 4])
    const gradient = combineGradient(dy, outputRows(choice(), pixels), 2)
    expect(gradient.arraySync()).toEqual([
      [
        [4, 5],
        [12, 13],
      ],
      [
        [2, 3],
        [10, 11],
      ],
    ])
  })

  it('restores what was dispatched, once for each expert, when all patches are kept in any order', () => {
    holds(settings, ({ cells, patch, batch, channels, experts, seed }) => {
      const grid = patchGrid([cells[0] * patch[0], cells[1] * patch[1]], patch, 'T')
      const x: tf.Tensor4D = drawTensor([batch, ...grid.map, channels], seed)
      const indices = anyChoice([batch, experts, grid.count], grid.count, seed)
      const { windows } = dispatchPatches(x, indices, windowTable(grid, [0, 0]))
      const y = combineOutputs(
        tf.reshape(windows, [experts, -1, channels]),
        outputRows(indices, windowTable(grid, [0, 0], 1)),
        [batch, ...grid.map, experts * channels],
      )
      expect(Array.from(y.dataSync())).toEqual(Array.from(tf.tile(x, [1, 1, 1, experts]).dataSync()))
    })
  })

  it('has combineGradient for its adjoint', () => {
    holds(settings, ({ cells, patch, batch, channels, experts, keep, seed }) => {
      const grid = patchGrid([cells[0] * patch[0], cells[1] * patch[1]], patch, 'T')
      const kept = keptOf(keep, grid.count)
      const rows = outputRows(
        anyChoice([batch, experts, kept], grid.count, seed),
        windowTable(grid, [0, 0], 1),
      )
      const outputs: tf.Tensor3D = drawTensor([experts, batch * kept * patch[0] * patch[1], channels], seed)
      const shape: [number, number, number, number] = [batch, ...grid.map, experts * channels]
      const dy: tf.Tensor4D = drawTensor(shape, seed + 1)
      const back = combineGradient(dy, rows, experts)
      expect(back.shape).toEqual(outputs.shape)
      expectAllClose(
        [innerProduct(outputs, back)],
        [innerProduct(combineOutputs(outputs, rows, shape), dy)],
        1e-4,
        1e-3,
      )
    })
  })
})
