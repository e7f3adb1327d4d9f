import { describe, expect, it } from 'vitest'
import { factOf, parseChildReport, secondsOf } from '../../../scripts/run/measuring/child-report.js'

const report = { software: 'PyTorch 2.13.0', seconds: { step: [1.5, 1.25] }, facts: { 'peak bytes': 2e9 } }

describe('parseChildReport', () => {
  it('reads the last line, whatever was printed before', () => {
    expect(parseChildReport(`loading\n${JSON.stringify(report)}\n`, 'torch')).toEqual(report)
  })

  it('refuses a line that is no JSON', () => {
    expect(() => parseChildReport('done\n', 'torch wrn')).toThrow(
      new Error('torch wrn: the last line must be a JSON report, got "done"'),
    )
    expect(() => parseChildReport('', 'torch wrn')).toThrow('got ""')
  })

  it.each([
    ['a fact that is no number', { ...report, facts: { 'last loss': null } }, 'facts.last loss'],
    ['a time that is not positive', { ...report, seconds: { step: [1, 0] } }, 'seconds.step.1'],
    ['no times', { ...report, seconds: { step: [] } }, 'seconds.step'],
    ['no report', 5, 'its root'],
  ])('refuses %s and says where it is', (_, value, place) => {
    expect(() => parseChildReport(JSON.stringify(value), 'ours')).toThrow(
      new RegExp(`^ours: the report must hold software, seconds and facts, got .* at ${place}$`),
    )
  })
})

describe('what a report holds', () => {
  it('is found by name', () => {
    expect(secondsOf(report, 'step')).toEqual([1.5, 1.25])
    expect(factOf(report, 'peak bytes')).toBe(2e9)
  })

  it('is named where something else is asked for', () => {
    expect(() => secondsOf(report, 'moe 2')).toThrow(
      new Error('Child report: seconds must have "moe 2", got step'),
    )
    expect(() => factOf({ ...report, facts: {} }, 'FLOP')).toThrow(
      new Error('Child report: facts must have "FLOP", got none'),
    )
  })
})
