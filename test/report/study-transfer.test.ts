import { describe, expect, it } from 'vitest'
import { transferFigureSpec } from '../../src/report/study-transfer.js'

const row = { panel: 'p', share: 5, map: 4, kept: 25, difference: 0.1, isDecided: false }

interface Drawn {
  readonly vconcat: readonly { readonly data: { readonly values: readonly Record<string, unknown>[] } }[]
}

describe('the figure of a study of transfer', () => {
  it('makes pale what its interval leaves open, and a panel for each name', () => {
    const { vconcat } = transferFigureSpec(
      [
        { ...row, interval: { lower: 0.01, upper: 0.2 }, isDecided: true },
        { ...row, share: 10, interval: { lower: -0.01, upper: 0.2 } },
        { ...row, panel: 'q', interval: { lower: -0.3, upper: -0.1 }, isDecided: true },
        { ...row, panel: 'q', share: 10 },
      ],
      { title: 't' },
    ) as unknown as Drawn
    expect(vconcat.map(({ data }) => data.values.map(({ strength }) => strength))).toEqual([
      [1, 0.4],
      [1, 0.4],
    ])
    expect(JSON.stringify(vconcat)).toContain('"domain":[-0.3,0.3]')
  })

  it('refuses no differences, and one that is no difference of shares', () => {
    expect(() => transferFigureSpec([], { title: 't' })).toThrow(
      new RangeError('transferFigureSpec: differences must hold at least 1, got 0'),
    )
    expect(() => transferFigureSpec([{ ...row, difference: 10 }], { title: 't' })).toThrow(
      new RangeError(
        'transferFigureSpec: differences must be in [-1, 1], got 10 (p, object 5 %, map 4x4, keeps 25 %)',
      ),
    )
  })
})
