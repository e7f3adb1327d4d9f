import { describe, expect, it } from 'vitest'
import { experiments } from '../../../scripts/experiments/experiments.js'
import { studyKind } from '../../../scripts/study/kinds/kinds.js'
import { gridOf } from '../../../scripts/study/study-config.js'
import { studyReport } from '../../../scripts/study/study-report.js'
import { smallStudy } from './small-study.js'

describe('the kinds of studies', () => {
  it('report every experiment before a cell has ended', () => {
    for (const { name, kind } of experiments) {
      const config = { ...smallStudy(), experiment: name, grid: gridOf(name, 'small', false).grid }
      expect(config.grid.kind).toBe(kind)
      const { findings, brief, tables, spec } = studyReport(config, [], new Map())
      expect(findings).toEqual([expect.stringMatching(/^No (run|measurement) has ended yet\.$/)])
      expect([brief, tables, spec]).toEqual(['nothing yet', [], undefined])
    }
  })

  it('refuse the grid of another kind', () => {
    const config = { ...smallStudy(), experiment: 'table1' }
    expect(() => studyKind(config)).toThrow(
      new RangeError('study: grid of table1 must be of kind cost, got training'),
    )
  })
})
