import { describe, expect, test } from 'vitest'
import { chartSvg } from '../../src/report/charts.js'
import { type LatencyPoint, latencyFigureSpec } from '../../src/report/latency-figure.js'

const point = { model: 'a', computedBy: 'wasm', batch: 1, median: 0.01, percentile95: 0.02 }
const title = 'Time of a batch'

describe('latencyFigureSpec', () => {
  test('has a panel for each batch size and a line for what computes', async () => {
    const points: LatencyPoint[] = [
      point,
      { ...point, computedBy: 'ONNX Runtime' },
      { ...point, model: 'b', batch: 8, median: 0.1, percentile95: 0.3 },
    ]
    const svg = await chartSvg(latencyFigureSpec(points, { title }))
    for (const text of [title, 'batch of 1', 'batch of 8', 'ONNX Runtime', 'wasm', '>a<', '>b<']) {
      expect(svg).toContain(text)
    }
    // A median of three, each drawn once.
    expect(svg.match(/aria-roledescription="point"/g)).toHaveLength(3)
    expect(svg).toContain('ms: 100; computedBy: wasm; upper: 300; model: b')
  })

  test('has ticks that can be read, however far times lie apart', async () => {
    const ticksOf = async (...medians: number[]) => {
      const points = medians.map(median => ({ ...point, median, percentile95: median }))
      const svg = await chartSvg(latencyFigureSpec(points, { title }))
      return [...new Set([...svg.matchAll(/>([\d.]+)</g)].map(([, text]) => text))]
    }
    expect(await ticksOf(0.0005, 0.2)).toEqual(['1', '10', '100'])
    expect(await ticksOf(0.0015, 0.012)).toEqual(['2', '5', '10'])
  })

  test('refuses no points, and times that have no place on the scale', () => {
    expect(() => latencyFigureSpec([], { title })).toThrow(
      new RangeError('latencyFigureSpec: points must hold at least 1 point, got 0'),
    )
    expect(() => latencyFigureSpec([point, { ...point, median: 0 }], { title })).toThrow(
      new RangeError('latencyFigureSpec: times must be above 0, got 0 and 0.02 (a)'),
    )
  })
})
