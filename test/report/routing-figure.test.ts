import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cellRectangle, type RoutedImage, routingFigure } from '../../src/report/routing-figure.js'

const image: RoutedImage = {
  uri: 'data:image/png;base64,AAAA',
  size: [32, 16],
  trueClass: 'bag',
  predictedClass: 'bag',
  probability: 0.995,
  grid: [4, 2],
  experts: [
    { patches: [3, 0], gates: [0.8, 0.2] },
    { patches: [7], gates: [0.00001] },
  ],
  truth: { cells: [2, 1], cell: 1 },
}

describe('routingFigure', () => {
  test('tints kept patches by their share of the strongest gate, and names patch and gate', () => {
    const figure = routingFigure(image, 'i')
    // Patch 3 of a 4x2 grid of 8x8 patches is row 1, column 1; 0.04 + 0.46 (0.2 / 0.8) = 0.155 for patch 0.
    expect(figure).toContain(
      '<rect x="8" y="8" width="8" height="8" fill-opacity="0.50"><title>patch 3: gate 0.8</title>',
    )
    expect(figure).toContain(
      '<rect x="0" y="0" width="8" height="8" fill-opacity="0.15"><title>patch 0: gate 0.2</title>',
    )
    expect(figure).toContain('aria-label="expert 1 keeps patch 3: gate 0.8, patch 0: gate 0.2"')
    expect(figure).toContain('patch 7: gate 1.0e-5')
  })

  test('calls experts as they were called before others were pruned', () => {
    const [first, second] = image.experts
    const named = {
      ...image,
      experts: [
        { ...first!, name: '4' },
        { ...second!, name: '<sky>' },
      ],
    }
    const figure = routingFigure(named, 'i')
    expect(figure).toContain('aria-label="expert 5 keeps patch 3')
    expect(figure).toContain('<span>expert 5</span>')
    expect(figure).toContain('<span>expert &lt;sky&gt;</span>')
  })

  test('veils everything but the kept patches', () => {
    expect(routingFigure(image, 'i')).toContain('d="M0 0h16v32h-16zM8 8h8v8h-8zM0 0h8v8h-8z"')
  })

  test('outlines the cell that shows the class in every tile, where it is known', () => {
    const outline = '<rect class="truth" x="0" y="16" width="16" height="16"/>'
    expect(routingFigure(image, 'i').split(outline)).toHaveLength(1 + 3)
    const { truth: _, ...unknown } = image
    expect(routingFigure(unknown, 'i')).not.toContain('class="truth"')
  })

  test('outlines the box of an object, and says where it lies', () => {
    const figure = routingFigure({ ...image, truth: { box: { x: 3, y: 5, width: 12, height: 16 } } }, 'i')
    expect(figure.split('<rect class="truth" x="3" y="5" width="12" height="16"/>')).toHaveLength(1 + 3)
    expect(figure).toContain('classified as bag; the part of 12x16 pixels from (3, 5) shows the class"')
  })

  test('says whether the prediction is right, and the true class where it is not', () => {
    expect(routingFigure(image, 'i')).toContain(
      '✓</span> bag</span> <span class="quiet">100%</span></figcaption>',
    )
    expect(routingFigure({ ...image, trueClass: '<shoe>' }, 'i')).toContain('true class &lt;shoe&gt;')
  })

  test('stores the image once, for all tiles', () => {
    const figure = routingFigure(image, 'i')
    expect(figure.split(image.uri)).toHaveLength(2)
    expect(figure.split('<use href="#i"/>')).toHaveLength(1 + 2)
  })

  test('refuses what does not fit together', () => {
    expect(() => routingFigure({ ...image, uri: 'https://a.example/b.png' }, 'i')).toThrow(
      new TypeError('routingFigure: uri must begin with data:image/, got https://a.example/b.'),
    )
    expect(() => routingFigure({ ...image, experts: [{ patches: [8], gates: [1] }] }, 'i')).toThrow(
      new RangeError('routingFigure: patches must be integers in [0, 7], got 8 (expert 0, 4x2 grid)'),
    )
    expect(() => routingFigure({ ...image, experts: [{ patches: [1, 2], gates: [1] }] }, 'i')).toThrow(
      new RangeError('routingFigure: gates must be one a patch, got 1 for 2 (expert 0)'),
    )
  })
})

test('the cells of a grid tile the image without gap or overlap', () => {
  const side = fc.integer({ min: 1, max: 6 })
  fc.assert(
    fc.property(side, side, side, side, (rows, columns, h, w) => {
      const covered = new Uint8Array(rows * h * columns * w)
      for (let cell = 0; cell < rows * columns; cell++) {
        const { x, y, width, height } = cellRectangle([rows, columns], cell, [rows * h, columns * w])
        for (let i = y; i < y + height; i++)
          for (let j = x; j < x + width; j++) covered[i * columns * w + j]! += 1
      }
      expect(covered.every(count => count === 1)).toBe(true)
    }),
  )
})
