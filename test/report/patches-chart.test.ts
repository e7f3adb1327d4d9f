import { expect, test } from 'vitest'
import { chartSvg } from '../../src/report/charts.js'
import { patchesChartSpec } from '../../src/report/patches-chart.js'

function point(patchesPerExpert: number, accuracy: number, median: number) {
  return { patchesPerExpert, accuracy, milliseconds: { median, least: median - 1, most: median + 2 } }
}

/** The texts of a picture, in their order. */
async function texts(...arguments_: Parameters<typeof patchesChartSpec>): Promise<string[]> {
  const svg = await chartSvg(patchesChartSpec(...arguments_))
  return [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, text]) => text as string)
}

test('the picture tells each L in both panels, names the trained one, and has room around accuracies', async () => {
  const points = [point(7, 0.5, 4), point(21, 0.6, 5), point(33, 0.7, 9)]
  const labels = await texts(points, { trained: 21, batch: 32 })
  for (const count of ['7', '21', '33']) expect(labels.filter(label => label === count)).toHaveLength(2)
  expect(labels.filter(label => label === 'trained')).toHaveLength(1)
  expect(labels).toContain('time of a batch of 32: median, least to most')
  const { vconcat } = patchesChartSpec(points, { trained: 21, batch: 32 }) as never as {
    vconcat: { layer: { encoding: { y: { scale?: { domain?: number[] } } } }[] }[]
  }
  // A fifth of the 20 points below and above.
  expect(vconcat[0]?.layer[0]?.encoding.y.scale?.domain).toEqual([46, 74])
})

test('accuracies that are all the same still have an axis, which ends at 100 %', async () => {
  const labels = await texts([point(1, 1, 4), point(2, 1, 4)], { trained: 1, batch: 1 })
  expect(labels).toContain('100.0')
  expect(labels.some(label => Number(label) > 100)).toBe(false)
})
