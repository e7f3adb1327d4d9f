import { describe, expect, test } from 'vitest'
import { randAugment, trivialAugment } from '../../../src/data/augmentation/policies.js'
import type { DrawVariation } from '../../../src/data/augmentation/variation.js'
import { random } from '../../../src/random.js'
import { applied, noise } from './applied.js'

const shape = [40, 36, 3] as const
const image = noise(shape).map(value => 20 + Math.round(value * 0.8))

function results(draw: DrawVariation, count: number): string[] {
  return Array.from({ length: count }, (_, seed) => {
    const variation = draw(random(seed))
    if (!variation) throw new Error('a policy must always choose a change')
    return applied(variation, image, shape).join()
  })
}

describe('trivialAugment', () => {
  test('leaves one image in about ten as it is', () => {
    // The identity is one of 14 changes; strength 0 of 31 of seven more, 0 to 2 of posterize, moves of less than a pixel.
    const expected = (1 + 7 / 31 + 3 / 31 + 4 / 31) / 14
    const unchanged = results(trivialAugment(shape), 1000).filter(result => result === image.join()).length
    expect(Math.abs(unchanged / 1000 - expected)).toBeLessThan(0.05)
  })

  test('moves no image out of sight, however small', () => {
    const small = [8, 8, 1] as const
    const white = new Uint8Array(64).fill(255)
    for (let seed = 0; seed < 500; seed++) {
      const variation = trivialAugment(small)(random(seed))
      const result = variation ? applied(variation, white, small) : white
      const shown = result.filter(value => value > 0).length
      // Moving leaves 5 of 8 columns; solarizing white and darkening it leave black.
      if (shown > 0) expect(shown).toBeGreaterThanOrEqual(20)
    }
  })

  test('takes grey images', () => {
    const grey = noise([6, 6, 1])
    for (let seed = 0; seed < 100; seed++) {
      const variation = trivialAugment([6, 6, 1])(random(seed))
      if (variation) expect(applied(variation, grey, [6, 6, 1]).length).toBe(36)
    }
  })
})

describe('randAugment', () => {
  test('of strength 0 only inverts, stretches and equalizes: what has no strength', () => {
    const seen = new Set(results(randAugment(shape, { operations: 1, magnitude: 0 }), 300))
    // The image itself, solarized from 255 on, with stretched contrast (which may be the image), equalized.
    expect(seen.size).toBeGreaterThanOrEqual(2)
    expect(seen.size).toBeLessThanOrEqual(4)
    expect(seen).toContain(image.join())
  })

  test('makes several changes one after the other', () => {
    const one = new Set(results(randAugment(shape, { operations: 1, magnitude: 9 }), 400))
    const two = new Set(results(randAugment(shape, { operations: 2, magnitude: 9 }), 400))
    // Fourteen changes, nine of them in two directions: 23 results of one, up to 23^2 of two.
    expect(one.size).toBeLessThanOrEqual(23)
    expect(one.size).toBeGreaterThan(16)
    expect(two.size).toBeGreaterThan(100)
  })
})
