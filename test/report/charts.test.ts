import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { chartSvg, type LearningCurve, learningCurveSpec, spread } from '../../src/report/charts.js'

function curve(name: string, accuracies: readonly number[]): LearningCurve {
  return {
    name,
    points: accuracies.map((accuracy, i) => ({
      epoch: i + 1,
      trainLoss: 2 - accuracy,
      trainAccuracy: 1,
      testLoss: 3 - accuracy,
      testAccuracy: accuracy,
    })),
  }
}

/** The M and L commands of every line that the chart draws, as [x, y] pairs. */
function linePoints(svg: string): number[][][] {
  const lines = svg.split('<g class="mark-line').slice(1)
  return lines.map(line => {
    const path = /<path [^>]*?d="([^"]+)"/.exec(line)?.[1] ?? ''
    return [...path.matchAll(/[ML]([-\d.]+),([-\d.]+)/g)].map(match => [Number(match[1]), Number(match[2])])
  })
}

describe('learningCurveSpec', () => {
  test('draws accuracies where their values say', async () => {
    const testOnly = {
      name: 'a',
      points: curve('a', [0, 0.5, 1]).points.map(p => ({ ...p, trainAccuracy: Number.NaN })),
    }
    const svg = await chartSvg(learningCurveSpec([testOnly], 'accuracy', { width: 200, height: 100 }))
    // The axis spans 0..100 % and the epochs 1..3: (0, bottom), (middle, middle), (right, top).
    expect(linePoints(svg)).toEqual([
      [
        [0, 100],
        [100, 50],
        [200, 0],
      ],
    ])
  })

  test('writes the name and the last test value of each run at its line', async () => {
    const svg = await chartSvg(
      learningCurveSpec([curve('dense', [0.5, 0.876]), curve('sparse & small', [0.6, 0.941])], 'accuracy'),
    )
    expect(svg).toContain('dense 87.6%')
    expect(svg).toContain('sparse &amp; small 94.1%')
    const loss = await chartSvg(learningCurveSpec([curve('dense', [0.5, 0.876])], 'loss'))
    expect(loss).toContain('dense 2.12')
  })

  test('distinguishes training from test by dashes and says so', async () => {
    const svg = await chartSvg(learningCurveSpec([curve('dense', [0.5, 0.8, 0.9, 0.95])], 'accuracy'))
    expect(svg).toContain('stroke-dasharray="4,4"')
    expect(svg).toContain('>training</text>')
    expect(svg).toContain('>test</text>')
  })

  test('draws the validation set with dashes of its own, and a test set that was measured once as a point', async () => {
    const points = [0.5, 0.6, 0.7, 0.8, 0.9].map((accuracy, i) => ({
      epoch: i + 1,
      trainLoss: 1,
      trainAccuracy: 1,
      validationLoss: 1,
      validationAccuracy: accuracy,
      ...(i === 4 && { testLoss: 1, testAccuracy: 0.84 }),
    }))
    const svg = await chartSvg(learningCurveSpec([{ name: 'a', points }], 'accuracy'))
    expect(svg).toContain('stroke-dasharray="8,3"')
    for (const set of ['training', 'validation', 'test']) expect(svg).toContain(`>${set}</text>`)
    expect(svg).toContain('a 84.0%')
    // At the last epoch, and at 0.84 of an axis from 0.5 to 1.
    const [, x, y] =
      /aria-roledescription="point"[^>]*transform="translate\(([\d.]+),([\d.]+)\)"/.exec(svg) ?? []
    expect(Number(x)).toBeCloseTo(380)
    expect(Number(y)).toBeCloseTo(230 * (1 - (0.84 - 0.5) / 0.5))
    const untested = await chartSvg(
      learningCurveSpec([{ name: 'b', points: points.slice(0, 4) }], 'accuracy'),
    )
    expect(untested).toContain('b 80.0%')
    expect(untested).not.toContain('>test</text>')
  })

  test('leaves out values that are not finite', async () => {
    const gap = {
      name: 'gap',
      points: [
        { epoch: 1, trainLoss: Number.NaN, trainAccuracy: 0.25 },
        { epoch: 2, trainLoss: Number.POSITIVE_INFINITY, trainAccuracy: 0.75 },
      ],
    }
    expect(await chartSvg(learningCurveSpec([gap], 'accuracy'))).toContain('gap 75.0%')
    expect(() => learningCurveSpec([gap], 'loss')).toThrow(
      new RangeError('learningCurveSpec: curves must hold a finite loss, got none in 1 runs'),
    )
  })

  test('refuses two runs of one name', () => {
    expect(() => learningCurveSpec([curve('a', [0.1]), curve('a', [0.2])], 'accuracy')).toThrow(
      new RangeError('learningCurveSpec: curves must have different names, got a twice'),
    )
  })

  test('needs nothing from the network', async () => {
    const svg = await chartSvg(learningCurveSpec([curve('dense', [0.5, 0.8])], 'accuracy'))
    expect(svg.replaceAll(/xmlns(:xlink)?="[^"]*"/g, '')).not.toMatch(/https?:/)
  })
})

describe('spread', () => {
  test('moves the upper of two neighbours up, and both down below the top', () => {
    expect(spread([0.5, 0.5], 0.1, [0, 1])).toEqual([0.5, 0.6])
    const [first, second] = spread([0.99, 1], 0.1, [0, 1])
    expect(first).toBeCloseTo(0.9, 12)
    expect(second).toBe(1)
  })

  test('keeps the gap, the order and the range for any values that fit', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 9 }), values => {
        const moved = spread(values, 0.1, [0, 1])
        const sorted = [...moved].sort((a, b) => a - b)
        for (let i = 1; i < sorted.length; i++)
          expect(sorted[i]! - sorted[i - 1]!).toBeGreaterThan(0.1 - 1e-9)
        for (const value of moved) expect(value >= -1e-9 && value <= 1).toBe(true)
        values.forEach((a, i) => {
          values.forEach((b, j) => {
            if (a < b) expect(moved[i]!).toBeLessThan(moved[j]!)
          })
        })
      }),
    )
  })

  test('leaves values alone that are apart already', () => {
    expect(spread([0.9, 0.1, 0.5], 0.2, [0, 1])).toEqual([0.9, 0.1, 0.5])
  })
})
