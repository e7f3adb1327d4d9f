import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { rotate, shearX, shearY } from '../../../src/data/augmentation/affine.js'
import { brighten, contrast, grey, saturate } from '../../../src/data/augmentation/colour.js'
import { autoContrast, equalize, posterize, sharpen, solarize } from '../../../src/data/augmentation/tone.js'
import type { Variation } from '../../../src/data/augmentation/variation.js'
import { stretchWindow } from '../../../src/data/augmentation/windows.js'
import { applied, farthest } from './applied.js'

interface Reference {
  readonly small: readonly number[]
  readonly dark: readonly number[]
  readonly results: Readonly<Record<string, readonly number[]>>
}

const { small, dark, results } = JSON.parse(
  readFileSync(new URL('../../goldens/pillow.json', import.meta.url), 'utf8'),
) as Reference

const [height, width] = [9, 12]

/** Pillow cuts values off where these are rounded. */
const variations: readonly (readonly [string, Variation, 'equal' | 'within 1'])[] = [
  ['brighten 1.4', brighten(1.4), 'within 1'],
  ['contrast 1.6', contrast(1.6), 'within 1'],
  ['saturate 0.3', saturate(0.3), 'within 1'],
  ['grey', grey, 'equal'],
  ['sharpen 1.8', sharpen(1.8), 'within 1'],
  ['sharpen 0', sharpen(0), 'equal'],
  ['posterize 3', posterize(3), 'equal'],
  ['solarize 100', solarize(100), 'equal'],
  ['autocontrast', autoContrast, 'within 1'],
  ['rotate 25', rotate(25), 'within 1'],
  ['rotate -90', rotate(-90), 'within 1'],
  ['shear x 0.3', shearX(0.3), 'within 1'],
  ['shear y 0.3', shearY(0.3), 'within 1'],
  ['crop', stretchWindow({ top: 1, left: 2, height: 5, width: 7 }), 'within 1'],
]

describe('against Pillow', () => {
  test.each(variations)('%s', (name, variation, precision) => {
    const image = applied(variation, Uint8Array.from(small), [height, width, 3])
    expect(farthest(image, Uint8Array.from(results[name] ?? []))).toBeLessThanOrEqual(
      precision === 'equal' ? 0 : 1,
    )
  })

  test('equalize', () => {
    const image = applied(equalize, Uint8Array.from(dark), [24, 24, 3])
    expect([...image]).toEqual(results.equalize)
  })
})
