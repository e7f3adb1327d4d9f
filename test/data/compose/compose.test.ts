import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { composeGrid, type GridOptions } from '../../../src/data/compose/compose.js'
import type { PixelSet } from '../../../src/data/image-set.js'
import { chiSquare } from '../chi-square.js'

/**
 * A pool of 60 images of 2x3x2 in 6 classes, ten a class, mixed: the bytes of image i are i, i+1, ... mod 256, times
 * an odd number, so that the first byte tells the image.
 */
const pool: PixelSet = {
  images: Uint8Array.from({ length: 60 * 12 }, (_, byte) => poolByte(Math.floor(byte / 12), byte % 12)),
  labels: Int32Array.from({ length: 60 }, (_, i) => (i * 7) % 6),
  count: 60,
  shape: [2, 3, 2],
  classNames: ['a', 'b', 'c', 'd', 'e', 'f'],
}
const options: GridOptions = {
  pool,
  grid: [2, 4],
  targets: [4, 1],
  distractors: [0, 3, 5],
  count: 4000,
  seed: 5,
}

function poolByte(image: number, byte: number): number {
  return (image * 3 + byte * 37) % 256
}

/** The image of the pool that a cell shows, after checking each of the cell's pixels. */
function imageInCell(set: PixelSet, image: number, cell: number): number {
  const [rows, columns] = set.cells as readonly [number, number]
  const [row, column] = [Math.floor(cell / columns), cell % columns]
  const read = (y: number, x: number, c: number): number => {
    const pixel = (image * rows * 2 + row * 2 + y) * columns * 3 + column * 3 + x
    return set.images[pixel * 2 + c] as number
  }
  const source = read(0, 0, 0) / 3
  for (let y = 0; y < 2; y++) {
    for (let x = 0; x < 3; x++) {
      for (let c = 0; c < 2; c++) {
        if (read(y, x, c) !== poolByte(source, (y * 3 + x) * 2 + c)) throw new Error('not a source pixel')
      }
    }
  }
  return source
}

describe('composeGrid', () => {
  const set = composeGrid(options)

  it('shows the labelled class in the true cell and distractors elsewhere, pixel for pixel', () => {
    expect(set.shape).toEqual([4, 12, 2])
    expect(set.classNames).toEqual(['e', 'b'])
    expect(set.cells).toEqual([2, 4])
    for (let i = 0; i < set.count; i++) {
      const label = set.labels[i] as number
      if (label !== i % 2) throw new Error(`image ${i} has label ${label}`)
      for (let cell = 0; cell < 8; cell++) {
        const shown = pool.labels[imageInCell(set, i, cell)]
        const right = cell === set.trueCell?.[i] ? [options.targets[label]] : options.distractors
        if (!right.includes(shown as number))
          throw new Error(`image ${i} shows class ${shown} in cell ${cell}`)
      }
    }
  })

  it('draws cells and distractors uniformly, in every cell', () => {
    const cells = Array<number>(8).fill(0)
    const drawn = Array.from({ length: 8 }, () => Array<number>(60).fill(0))
    for (let i = 0; i < set.count; i++) {
      const trueCell = set.trueCell?.[i] as number
      cells[trueCell] = (cells[trueCell] as number) + 1
      for (let cell = 0; cell < 8; cell++) {
        const counts = drawn[cell] as number[]
        const source = imageInCell(set, i, cell)
        if (cell !== trueCell) counts[source] = (counts[source] as number) + 1
      }
    }
    // 99.9 % points of chi-square: 24.3 with 7 degrees of freedom, 58.3 with 29.
    expect(chiSquare(cells)).toBeLessThan(24.3)
    for (const counts of drawn) {
      const distractors = counts.filter((_, source) =>
        options.distractors.includes(pool.labels[source] as number),
      )
      expect(distractors).toHaveLength(30)
      expect(chiSquare(distractors)).toBeLessThan(58.3)
    }
  })

  it('shows each class equally often in each of four quadrants', () => {
    const quadrants = composeGrid({ ...options, grid: [2, 2], count: 8000 })
    const counts = Array<number>(8).fill(0)
    quadrants.trueCell?.forEach((cell, i) => {
      const place = (quadrants.labels[i] as number) * 4 + cell
      counts[place] = (counts[place] as number) + 1
    })
    // 99.9 % point of chi-square with 7 degrees of freedom.
    expect(chiSquare(counts)).toBeLessThan(24.3)
  })

  it('takes the images of each target class in turn, again and again', () => {
    const shown = (label: number): number[] => {
      const images: number[] = []
      for (let i = label; i < 60; i += 2) images.push(imageInCell(set, i, set.trueCell?.[i] as number))
      return images
    }
    for (const label of [0, 1]) {
      const images = shown(label)
      const first = images.slice(0, 10)
      expect(new Set(first).size).toBe(10)
      expect(images).toEqual([...first, ...first, ...first])
    }
    expect(shown(0).slice(0, 10)).not.toEqual(shown(0).slice(0, 10).sort())
  })

  it('composes the same bytes from the same seed, and fewer images are the first of more', () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(50), fc.nat(50), (seed, fewer, more) => {
        const small = composeGrid({ ...options, seed, count: fewer })
        const large = composeGrid({ ...options, seed, count: fewer + more })
        expect(Buffer.compare(large.images.subarray(0, small.images.length), small.images)).toBe(0)
        expect(large.labels.subarray(0, fewer)).toEqual(small.labels)
        expect(large.trueCell?.subarray(0, fewer)).toEqual(small.trueCell)
      }),
      { numRuns: 30 },
    )
    const other = composeGrid({ ...options, seed: 6 })
    expect(Buffer.compare(other.images, set.images)).not.toBe(0)
    expect(other.trueCell).not.toEqual(set.trueCell)
  })

  it('leaves classes out that are neither target nor distractor', () => {
    for (let i = 0; i < 500; i++) {
      for (let cell = 0; cell < 8; cell++) expect(pool.labels[imageInCell(set, i, cell)]).not.toBe(2)
    }
  })

  it.each<[string, Partial<GridOptions>, string]>([
    [
      'a grid without cells',
      { grid: [0, 4] },
      'composeGrid: grid must be [rows, columns] of positive integers, got [0,4]',
    ],
    ['a count below 0', { count: -1 }, 'composeGrid: count must be an integer of at least 0, got -1'],
    ['half an image', { count: 1.5 }, 'composeGrid: count must be an integer of at least 0, got 1.5'],
    [
      'more than fits in memory',
      { count: 2 ** 52 },
      'composeGrid: count must be of images that fit in memory, got 4503599627370496 (96 bytes each)',
    ],
    ['no targets', { targets: [] }, 'composeGrid: targets must name a class, got none'],
    ['no distractors', { distractors: [] }, 'composeGrid: distractors must name a class, got none'],
    [
      'an unknown class',
      { distractors: [0, 6] },
      'composeGrid: distractors must be classes in [0, 5], got 6',
    ],
    [
      'a class without images',
      { pool: { ...pool, classNames: [...pool.classNames, 'g'] }, targets: [6] },
      'composeGrid: targets must have images in the pool, got 0 of class 6 "g" (60 images)',
    ],
    [
      'a target twice',
      { targets: [4, 4] },
      'composeGrid: targets must differ from each other, got class 4 "e" twice',
    ],
    [
      'a class in both roles',
      { distractors: [0, 1] },
      'composeGrid: distractors must differ from the targets, got class 1 as both',
    ],
  ])('refuses %s', (_, wrong, message) => {
    expect(() => composeGrid({ ...options, ...wrong })).toThrow(new RangeError(message))
  })
})
