import { describe, expect, it } from 'vitest'
import { chartSvg } from '../../src/report/charts.js'
import { megapixelFigureSpec } from '../../src/report/study-megapixel.js'
import { pointingFigureSpec } from '../../src/report/study-pointing.js'

const accuracy = { series: 'dense', panel: 'task', images: 10, accuracy: 0.5 }
const titles = { title: 'Large', recallImages: 10 }

describe('the figure of large images', () => {
  it('has a row of panels for what there is', () => {
    const rows = (recalls: number, costs: number) => {
      const spec = megapixelFigureSpec(
        {
          accuracies: [accuracy],
          recalls: Array.from({ length: recalls }, () => ({ series: 'a', panel: 'p', done: 1, recall: 1 })),
          costs: Array.from({ length: costs }, () => ({ series: 'a', panel: 'p', side: 8, value: 2 })),
        },
        titles,
      )
      return (spec as unknown as { vconcat: unknown[] }).vconcat.length
    }
    expect([rows(0, 0), rows(1, 0), rows(0, 1), rows(2, 2)]).toEqual([1, 2, 2, 3])
  })

  it('has one colour a network in all panels, and ends of deviations within the axis', async () => {
    const numbers = {
      accuracies: [{ ...accuracy, accuracy: 0.98, deviation: 0.1 }],
      recalls: [],
      costs: [{ series: 'routed', panel: 'cost', side: 64, value: 3 }],
    }
    const svg = await chartSvg(megapixelFigureSpec(numbers, titles))
    for (const text of ['dense', 'routed', 'cost']) expect(svg).toContain(text)
    expect(JSON.stringify(megapixelFigureSpec(numbers, titles))).toContain('"upper":1')
  })

  it('refuses no accuracies, and one that is no share', () => {
    expect(() => megapixelFigureSpec({ accuracies: [], recalls: [], costs: [] }, titles)).toThrow(
      new RangeError('megapixelFigureSpec: accuracies must hold at least 1, got 0'),
    )
    const percent = { accuracies: [{ ...accuracy, accuracy: 50 }], recalls: [], costs: [] }
    expect(() => megapixelFigureSpec(percent, titles)).toThrow(
      new RangeError('megapixelFigureSpec: accuracies must be in [0, 1], got 50 (dense)'),
    )
  })
})

describe('the figure of a pointing game', () => {
  const bar = { panel: 'task', method: 'Grad-CAM', near: 0.6, inside: 0.4 }

  it('draws a bar for each method', async () => {
    const svg = await chartSvg(
      pointingFigureSpec([bar, { ...bar, method: 'occlusion', deviation: 0.1 }], { title: 'Where' }),
    )
    for (const text of ['Grad-CAM', 'occlusion', 'Where']) expect(svg).toContain(text)
  })

  it('refuses no bars, and more inside than near', () => {
    expect(() => pointingFigureSpec([], { title: '' })).toThrow(
      new RangeError('pointingFigureSpec: bars must hold at least 1, got 0'),
    )
    expect(() => pointingFigureSpec([{ ...bar, inside: 0.7 }], { title: '' })).toThrow(
      new RangeError(
        'pointingFigureSpec: shares must be in [0, 1], and inside at most near, got 0.7 and 0.6 (Grad-CAM)',
      ),
    )
  })
})
