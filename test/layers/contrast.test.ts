import * as tf from '@tensorflow/tfjs'
import * as fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { contrast } from '../../src/layers/moe/cell-scores/contrast.js'
import { cellGrid } from '../../src/layers/moe/cells.js'
import { pixelTensor, rememberBytes } from '../../src/layers/pixels.js'
import { random } from '../../src/random.js'
import { viewSize } from '../../src/shapes.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(() => useTestBackend())

/** From the definition: all pixels of the window, as far as it lies in the view. */
function bruteForce(
  bytes: Uint8Array,
  [height, width, channels]: readonly number[],
  cell: readonly number[],
  reach: number,
) {
  const values: number[] = []
  for (let top = 0; top < height!; top += cell[0]!) {
    for (let left = 0; left < width!; left += cell[1]!) {
      let total = 0
      for (let channel = 0; channel < channels!; channel++) {
        const pixels: number[] = []
        for (let y = Math.max(0, top - reach); y < Math.min(height!, top + cell[0]! + reach); y++)
          for (let x = Math.max(0, left - reach); x < Math.min(width!, left + cell[1]! + reach); x++)
            pixels.push(bytes[(y * width! + x) * channels! + channel]! / 255)
        const mean = pixels.reduce((sum, value) => sum + value, 0) / pixels.length
        total += pixels.reduce((sum, value) => sum + (value - mean) ** 2, 0) / pixels.length
      }
      values.push(Math.sqrt(total / channels!))
    }
  }
  return values
}

describe('contrast', () => {
  it('is the deviation in the window of each cell, of bytes as of numbers, also at edges', () => {
    const sizes = fc.record({
      cell: fc.constantFrom([8, 8], [16, 8], [12, 20], [4, 4]),
      margin: fc.constantFrom(0, 2, 1),
      extra: fc.tuple(fc.nat(19), fc.nat(19)),
      channels: fc.constantFrom(1, 3),
      seed: fc.nat(99),
    })
    fc.assert(
      fc.property(sizes, ({ cell, margin, extra, channels, seed }) => {
        const image = [cell[0]! + 2 * margin + extra[0], cell[1]! + 2 * margin + extra[1]] as const
        const grid = cellGrid(image, { cell: cell as [number, number], margin, viewScale: 2 }, 'test')
        const shape = [...viewSize(image, 2), channels] as const
        const chance = random(seed, 'view')
        const perView = shape[0] * shape[1] * channels
        const bytes = Uint8Array.from({ length: 2 * perView }, () => chance.below(256))
        tf.tidy(() => {
          const numbers = pixelTensor(bytes, [2, ...shape]) as tf.Tensor4D
          const remembered = rememberBytes(pixelTensor(bytes, [2, ...shape]) as tf.Tensor4D, bytes)
          const expected = [0, 1].flatMap(b =>
            bruteForce(
              bytes.subarray(b * perView, (b + 1) * perView),
              shape,
              cell.map(side => side / 2),
              Math.round(margin / 2),
            ),
          )
          for (const view of [remembered, numbers]) {
            const values = contrast(view, grid)
            expect(values.shape).toEqual([2, ...grid.cells])
            const own = values.dataSync()
            for (const [i, value] of expected.entries()) expect(own[i]).toBeCloseTo(value, 3)
          }
        })
      }),
      { numRuns: 40 },
    )
  })

  it('of bytes is exactly 0 where all pixels are the same', () => {
    const grid = cellGrid([40, 40], { cell: [8, 8], margin: 2, viewScale: 2 }, 'test')
    const bytes = new Uint8Array(20 * 20 * 3).fill(77)
    const view = rememberBytes(pixelTensor(bytes, [1, 20, 20, 3]) as tf.Tensor4D, bytes)
    expect(contrast(view, grid).dataSync()).toEqual(new Float32Array(25))
  })
})
