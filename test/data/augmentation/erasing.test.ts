import { describe, expect, test } from 'vitest'
import { erase, randomBox } from '../../../src/data/augmentation/erasing.js'
import { random } from '../../../src/random.js'
import { applied } from './applied.js'

describe('erase', () => {
  test('makes a box 0 and leaves what lies around it', () => {
    const image = Uint8Array.from({ length: 24 }, (_, i) => i + 1)
    const erased = applied(erase({ top: 1, left: 1, height: 2, width: 2 }), image, [3, 4, 2])
    expect([...erased]).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 0, 0, 0, 15, 16, 17, 18, 0, 0, 0, 0, 23, 24,
    ])
  })
})

describe('randomBox', () => {
  test('covers 2 to 33 % of the image in proportions of 0.3 to 3.3', () => {
    const chance = random(4)
    const shares = Array.from({ length: 500 }, () => {
      const box = randomBox(chance, [200, 100, 3])
      if (!box) throw new Error('a box must fit')
      expect(box.top + box.height).toBeLessThanOrEqual(200)
      expect(box.left + box.width).toBeLessThanOrEqual(100)
      // Sides are rounded by half a pixel at most.
      expect((box.height + 0.5) / (box.width - 0.5)).toBeGreaterThan(0.3)
      expect((box.height - 0.5) / (box.width + 0.5)).toBeLessThan(3.3)
      return (box.height * box.width) / 20_000
    })
    expect(Math.min(...shares)).toBeGreaterThan(0.018)
    expect(Math.max(...shares)).toBeLessThan(0.34)
  })

  test('finds none in an image of one pixel', () => {
    expect(randomBox(random(1), [1, 1, 1])).toBeUndefined()
  })
})
