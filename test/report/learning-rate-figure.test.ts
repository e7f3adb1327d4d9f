import { expect, test } from 'vitest'
import { chartSvg } from '../../src/report/charts.js'
import { learningRateFigureSpec } from '../../src/report/learning-rate-figure.js'

const points = [1e-4, 1e-3, 1e-2, 1e-1].map((learningRate, i) => ({
  learningRate,
  loss: [1.1, 1, 0.7, 90][i] as number,
  smoothed: [1.1, 1.05, 0.9, 30][i] as number,
}))

test('the curve has both losses on a logarithmic scale, and a line where it suggests a rate', async () => {
  const svg = await chartSvg(learningRateFigureSpec(points, { title: 'cats & dogs', suggestion: 1e-3 }))
  expect(svg).toContain('cats &amp; dogs')
  expect(svg).toContain('learning rate')
  expect(svg.match(/stroke-dasharray="4,4"/g)).toHaveLength(1)
  const without = await chartSvg(learningRateFigureSpec(points, { title: 'none' }))
  expect(without).not.toContain('stroke-dasharray="4,4"')
})

test('it is not drawn of nothing', () => {
  expect(() => learningRateFigureSpec([], { title: 'none' })).toThrow(
    'learningRateFigureSpec: points must hold at least 1 point, got 0',
  )
})
