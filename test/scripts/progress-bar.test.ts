import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fittedLine } from '../../scripts/terminal/progress-bar.js'

const text = {
  title: 'digits-patches two-layer-pmoe',
  parts: ['epoch 12/150', 'loss 0.411', 'test 91.2%', '1 min 05 s left'],
  extra: '681 images/s',
}

describe('fittedLine', () => {
  const status = 'epoch 12/150 · loss 0.411 · test 91.2% · 1 min 05 s left' // 56 columns
  const half = (size: number) => `${'■'.repeat(size / 2)}${' '.repeat(size / 2)}`

  test.each([
    [12, 'epoch 12/1…'],
    [24, 'epoch 12/150'],
    [40, 'epoch 12/150 · loss 0.411 · test 91.2%'],
    [60, status],
    // 65 columns are used: 8 for the bar, 1 between. With the extra of 15, 80 columns would not do.
    [66, `${half(8)} ${status}`],
    [80, `${half(20)} ${status}`],
    [81, `${half(8)} ${status} · 681 images/s`],
    // 99 - 57 - 30 for the title = 12
    [100, `digits-patches two-layer-pmoe ${half(12)} ${status}`],
    // 119 - 72 - 30 = 17, of which 16 are used
    [120, `digits-patches two-layer-pmoe ${half(16)} ${status} · 681 images/s`],
    [300, `digits-patches two-layer-pmoe ${half(24)} ${status} · 681 images/s`],
  ])('has in %i columns what matters most', (columns, line) => {
    expect(fittedLine(0.5, text, columns)).toBe(line)
  })

  test('never reaches the last column, and has the first part always', () => {
    const words = fc.array(fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 30 }), {
      maxLength: 6,
    })
    fc.assert(
      fc.property(
        words,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 5, max: 200 }),
        (parts, share, columns) => {
          const line = fittedLine(
            share,
            { title: 'title', parts: ['1/2', ...parts], extra: 'extra' },
            columns,
          )
          expect(line.length).toBeLessThan(columns)
          expect(line).toContain('1/2')
        },
      ),
    )
  })
})
