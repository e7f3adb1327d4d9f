import { expect, it } from 'vitest'
import { boxesFigure, type LookedAtImage } from '../../src/report/region-figure.js'

const region = {
  gates: [0.75, 0.25],
  boxes: [
    [100, 200, 50, 100],
    [-10, 0, 50, 100],
  ],
  crops: ['data:a', 'data:b'],
}
const image: LookedAtImage = { name: 'a & b', uri: 'data:x', pixels: [300, 960], regions: [region] }

it('draws the boxes of an image at its scale, the strongest last', () => {
  const svg = boxesFigure(image)
  expect(svg).toContain('viewBox="0 0 480 150"')
  expect(svg).toContain('aria-label="a &amp; b: the patches that were read"')
  const rectangles = [
    ...svg.matchAll(/<rect x="([-\d.]+)" y="([-\d.]+)" width="([\d.]+)" height="([\d.]+)"/g),
  ]
  // 960 pixels are 480 units; the box of the larger gate comes last.
  expect(rectangles.map(([, ...numbers]) => numbers.map(Number))).toEqual([
    [0, -5, 50, 25],
    [100, 50, 50, 25],
  ])
  const opacities = [...svg.matchAll(/<g opacity="([\d.]+)">/g)].map(([, opacity]) => Number(opacity))
  expect(opacities).toEqual([0.7, 1])
})

it('keeps the numbers of boxes apart, and in the drawing', () => {
  const boxes = (first: number) =>
    Array.from({ length: 30 }, (_, i) => [first + 4 * (i % 6), 900 - 3 * i, 60, 60])
  const crowded = (first: number) => {
    const own = boxes(first)
    return { gates: own.map(() => 1 / 30), boxes: own, crops: own.map(() => 'data:a') }
  }
  const svg = boxesFigure({ ...image, regions: [crowded(0), crowded(10)] })
  const places = [...svg.matchAll(/<text x="([-\d.]+)" y="([-\d.]+)"[^>]*>(\d+)</g)].map(
    ([, x, y, text = '']) => ({ x: Number(x), y: Number(y), width: 7 * text.length }),
  )
  expect(places).toHaveLength(60)
  for (const [i, a] of places.entries()) {
    expect([a.x >= 0, a.x + a.width <= 480.1, a.y >= 9, a.y <= 150]).toEqual([true, true, true, true])
    const under = places.slice(i + 1).filter(b => {
      const isBeside = b.x >= a.x + a.width - 0.1 || a.x >= b.x + b.width - 0.1
      return !isBeside && Math.abs(a.y - b.y) < 10.9
    })
    expect(under).toEqual([])
  }
})

it.each([
  [{ gates: [1] }, 'got 2, 1 and 2'],
  [{ boxes: [[0, 0, 9, 9]] }, 'got 1, 2 and 2'],
  [{ crops: [] }, 'got 2, 2 and 0'],
])('refuses boxes, gates and crops that are not as many: %j', (part, numbers) => {
  expect(() => boxesFigure({ ...image, regions: [region, { ...region, ...part }] })).toThrow(
    `boxesFigure: boxes, gates and crops of an expert must be as many, ${numbers} (expert 2)`,
  )
})
