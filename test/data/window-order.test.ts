import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { blockImages, windowOrder } from '../../src/data/window-order.js'

describe('windowOrder', () => {
  test('visits every image once, the same way for the same seed and epoch alone', () => {
    const number = fc.integer({ min: 0, max: 2 ** 31 })
    fc.assert(
      fc.property(
        fc.nat(900),
        fc.integer({ min: 1, max: 1200 }),
        number,
        fc.nat(50),
        (count, window, seed, epoch) => {
          const order = windowOrder(count, window, { seed, epoch })
          expect(order.toSorted()).toEqual(Int32Array.from({ length: count }, (_, i) => i))
          expect(windowOrder(count, window, { seed, epoch })).toEqual(order)
        },
      ),
      { numRuns: 50 },
    )
  })

  test('differs from epoch to epoch and from seed to seed', () => {
    const orders = [
      { seed: 1, epoch: 0 },
      { seed: 1, epoch: 1 },
      { seed: 2, epoch: 0 },
    ].map(shuffle => windowOrder(1000, 256, shuffle).join())
    expect(new Set(orders).size).toBe(3)
  })

  test('fills a window with whole blocks from all over the set', () => {
    const window = 10 * blockImages
    const order = windowOrder(100 * blockImages, window, { seed: 4, epoch: 2 })
    for (let first = 0; first < order.length; first += window) {
      const images = order.slice(first, first + window).toSorted()
      const blocks = new Set(images.map(image => Math.floor(image / blockImages)))
      expect(blocks.size).toBe(10)
      // Ten blocks out of a hundred reach over half of the set unless they are neighbours.
      expect(Math.max(...blocks) - Math.min(...blocks)).toBeGreaterThan(50)
    }
  })

  test('puts every image at every place equally often where the window holds all of them', () => {
    const count = 5
    const seen = Array.from({ length: count }, () => new Array<number>(count).fill(0))
    const epochs = 4000
    for (let epoch = 0; epoch < epochs; epoch++) {
      windowOrder(count, 8, { seed: 9, epoch }).forEach((image, place) => {
        seen[place]![image]!++
      })
    }
    // Expected 800 each, with a standard deviation of 25.3: five of them.
    for (const row of seen)
      for (const times of row) expect(Math.abs(times - epochs / count)).toBeLessThan(127)
  })
})
