import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { experiments } from '../../../scripts/experiments/experiments.js'
import { cellText } from '../../../scripts/study/cell.js'
import { cellsOf } from '../../../scripts/study/cells.js'
import type { Grid } from '../../../scripts/study/grids/grids.js'
import { gridOf } from '../../../scripts/study/study-config.js'

const dense = { name: 'dense', model: 'wrn', flags: {} } as const
const mixture = { name: 'mixture', model: 'wrn-pmoe', flags: {}, sweeps: true } as const

describe('cellsOf', () => {
  it('goes through seeds, images, what is swept over and variants, the last fastest', () => {
    const grid: Grid = {
      kind: 'training',
      variants: [dense, mixture],
      samples: [10, 20],
      patchesPerExpert: [1, 2],
      flags: {},
    }
    const text = cellsOf(grid, 2).map(
      ({ index, seed, samples, patchesPerExpert = '-', variant }) =>
        `${index}: ${seed} ${samples} ${patchesPerExpert} ${variant}`,
    )
    // The dense network keeps every patch: it is run once for all l.
    expect(text).toEqual([
      '0: 1 10 - dense',
      '1: 1 10 1 mixture',
      '2: 1 10 2 mixture',
      '3: 1 20 - dense',
      '4: 1 20 1 mixture',
      '5: 1 20 2 mixture',
      '6: 2 10 - dense',
      '7: 2 10 1 mixture',
      '8: 2 10 2 mixture',
      '9: 2 20 - dense',
      '10: 2 20 1 mixture',
      '11: 2 20 2 mixture',
    ])
  })

  it('keeps the cells there are when seeds are added', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...experiments.map(({ name }) => name)),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 0, max: 5 }),
        (name, seeds, more) => {
          const { grid } = gridOf(name, 'small', false)
          const few = cellsOf(grid, seeds)
          expect(cellsOf(grid, seeds + more).slice(0, few.length)).toEqual(few)
        },
      ),
    )
  })
})

describe('cellText', () => {
  it.each([
    [{ index: 3, seed: 2, variant: 'WRN', samples: 500 }, 'WRN, 500 images, seed 2'],
    [
      { index: 3, seed: 1, variant: 'pMoE', samples: 5, patchesPerExpert: 2, experts: 4 },
      'pMoE, 5 images, l = 2, k = 4, seed 1',
    ],
    [
      { index: 3, seed: 1, variant: 'pMoE', cost: { letter: 'n', value: 64 } } as const,
      'pMoE, n = 64, seed 1',
    ],
  ])('says %j', (cell, text) => {
    expect(cellText(cell)).toBe(text)
  })
})
