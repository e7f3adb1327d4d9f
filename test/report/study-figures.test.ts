import { describe, expect, it } from 'vitest'
import { chartSvg } from '../../src/report/charts.js'
import { accuracyFigureSpec, dispatchFigureSpec, phaseMapSpec } from '../../src/report/study-figures.js'

const curve = (name: string, ...means: readonly number[]) => ({
  name,
  points: means.map((mean, i) => ({
    samples: 100 * (i + 1),
    mean,
    interval: { lower: mean - 0.05, upper: mean + 0.02 },
  })),
})

describe('accuracyFigureSpec', () => {
  it("draws means, intervals and the paper's own numbers", async () => {
    const curves = [
      { ...curve('pMoE', 0.8, 0.95), published: [{ samples: 150, accuracy: 0.848 }] },
      curve('CNN', 0.71, 0.9),
    ]
    const spec = accuracyFigureSpec(curves, { title: 'Figure 4' })
    const svg = await chartSvg(spec)
    // A point's label reads out what it stands for.
    const labels = [
      ...svg.matchAll(/aria-label="([^"]*)" role="graphics-symbol" aria-roledescription="point"/g),
    ]
    expect(labels.map(([, label]) => label)).toEqual([
      expect.stringContaining('training images: 100; test accuracy: 80%; model: pMoE'),
      expect.stringContaining('training images: 200; test accuracy: 95%; model: pMoE'),
      expect.stringContaining('training images: 100; test accuracy: 71%; model: CNN'),
      expect.stringContaining('training images: 200; test accuracy: 90%; model: CNN'),
      expect.stringContaining('training images: 150; test accuracy: 85%; model: pMoE'),
    ])
    expect(svg.match(/aria-roledescription="area mark"/g)).toHaveLength(2)
    for (const word of ['Figure 4', 'hollow: the numbers of the paper', 'pMoE', 'CNN'])
      expect(svg).toContain(`>${word}<`)
    // From the tenth below the lowest bound, 0.66, to 1.
    expect(svg).toContain('>60%<')
    expect(svg).not.toContain('>50%<')
  })

  it('cuts no name short', async () => {
    const name = 'separate pMoE with eight experts of two patches, N = 1,000'
    expect(await chartSvg(accuracyFigureSpec([curve(name, 0.7, 0.8)], { title: 'ours' }))).toContain(
      `>${name}<`,
    )
  })

  it('has no word of the paper where nothing of it is known', async () => {
    const svg = await chartSvg(accuracyFigureSpec([curve('CNN', 0.7, 0.8)], { title: 'ours' }))
    expect(svg).not.toContain('the paper')
  })

  it('gives places that keep doubling equal room, and each its tick', async () => {
    const points = [250, 500, 1000, 2000].map(samples => ({ samples, mean: 0.8 }))
    const published = [{ samples: 16_000, accuracy: 0.87 }]
    const svg = await chartSvg(accuracyFigureSpec([{ name: 'CNN', points, published }], { title: '' }))
    for (const tick of ['250', '500', '1,000', '2,000', '16,000']) expect(svg).toContain(`>${tick}<`)
    const x = [...svg.matchAll(/aria-roledescription="point" transform="translate\(([\d.]+),/g)].map(
      ([, at]) => Number(at),
    )
    const [first = 0, second = 0, third = 0] = x
    expect(x).toHaveLength(5)
    expect(third - second).toBeCloseTo(second - first, 6)
  })

  it.each([
    [[], 'curves must hold at least 1 point, got 0 in 0 curves'],
    [[curve('a', 0.5), curve('a', 0.6)], 'curves must have different names, got a twice'],
    [[curve('a', 93)], 'shares must be in [0, 1], got 93'],
  ])('refuses %j', (curves, message) => {
    expect(() => accuracyFigureSpec(curves, { title: '' })).toThrow(
      new RangeError(`accuracyFigureSpec: ${message}`),
    )
  })
})

describe('phaseMapSpec', () => {
  it('is white where all trials succeed and black where all fail, larger y above', async () => {
    const cells = [
      { x: 2, y: 500, share: 0 },
      { x: 2, y: 600, share: 1 },
      { x: 4, y: 600, share: 0.45 },
    ]
    const svg = await chartSvg(phaseMapSpec(cells, { title: 'Figure 5', x: 'l', y: 'N' }))
    const marks = [
      ...svg.matchAll(/aria-label="(l: [^"]*)"[^>]*aria-roledescription="rect mark"[^>]*fill="([^"]*)"/g),
    ]
    expect(marks.map(([, label, fill]) => [label, fill])).toEqual([
      ['l: 2; N: 500; successful trials: 0%', 'rgb(0, 0, 0)'],
      ['l: 2; N: 600; successful trials: 100%', 'rgb(255, 255, 255)'],
      ['l: 4; N: 600; successful trials: 45%', 'rgb(115, 115, 115)'],
    ])
    expect(svg.indexOf('>600<')).toBeLessThan(svg.indexOf('>500<'))
  })

  it('refuses no cells and shares out of range', () => {
    expect(() => phaseMapSpec([], { title: '' })).toThrow(
      'phaseMapSpec: cells must hold at least 1 cell, got 0',
    )
    expect(() => phaseMapSpec([{ x: 1, y: 1, share: 1.5 }], { title: '' })).toThrow(
      'phaseMapSpec: shares must be in [0, 1], got 1.5',
    )
  })
})

describe('dispatchFigureSpec', () => {
  it('draws a bar for each class and expert, experts counted from 1', async () => {
    const shares = [
      { className: 'zero', expert: 0, share: 0.95 },
      { className: 'one', expert: 0, share: 0.05 },
      { className: 'one', expert: 1, share: 0.92 },
    ]
    const svg = await chartSvg(dispatchFigureSpec(shares, { title: 'Figure 9' }))
    const bars = [...svg.matchAll(/aria-label="([^"]*)" role="graphics-symbol" aria-roledescription="bar"/g)]
    expect(bars.map(([, label]) => label)).toEqual([
      'expert: 1; share of the class: 95%; class: zero',
      'expert: 1; share of the class: 5%; class: one',
      'expert: 2; share of the class: 92%; class: one',
    ])
  })

  it('refuses no shares and shares out of range', () => {
    expect(() => dispatchFigureSpec([], { title: '' })).toThrow(
      'dispatchFigureSpec: shares must hold at least 1 share, got 0',
    )
    expect(() => dispatchFigureSpec([{ className: 'a', expert: 0, share: -1 }], { title: '' })).toThrow(
      'dispatchFigureSpec: shares must be in [0, 1], got -1',
    )
  })
})
