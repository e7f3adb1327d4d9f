import { describe, expect, it } from 'vitest'
import { type BenchResult, joinSections } from '../../bench/bench-result.js'
import { markdownTable, renderMarkdown } from '../../bench/render.js'
import { reaches, targets } from '../../bench/targets.js'
import { describeMachine } from '../../scripts/run/measuring/machine.js'

const result: BenchResult = {
  command: 'npm run bench -- --peers DIR',
  machine: {
    date: '2026-01-31 12:00 UTC',
    processor: 'Test processor',
    cores: 2,
    memoryBytes: 25.28e9,
    system: 'Linux 6.1 x64',
    node: '20.20.2',
    loadBefore: 0.126,
  },
  tables: [
    {
      letter: 'b',
      title: 'One training step',
      sentence: 'Compares a with b.',
      head: ['network', 'median'],
      rows: [['wrn', '1.152 s']],
      notes: ['on a quiet machine'],
    },
  ],
  measured: {
    'pmoe/keras': { value: 0.748, quartiles: [0.741, 0.755] },
    'line 4x4': { value: 0.99 },
    'rate wrn': { value: 0.7516, quartiles: [0.74, 0.76] },
  },
  reports: {
    one: [{ software: 'PyTorch 2.13.0', seconds: {}, facts: {} }],
    two: [{ software: 'PyTorch 2.13.0', seconds: {}, facts: {} }],
  },
  failures: ['(e): a | b'],
}

describe('renderMarkdown', () => {
  const lines = renderMarkdown(result).split('\n')

  it('opens with command, date, machine and software, each once', () => {
    expect(lines.slice(2, 7)).toEqual([
      '- command: `npm run bench -- --peers DIR`',
      '- date: 2026-01-31 12:00 UTC',
      '- machine: Test processor, 2 cores, 25.28 GB memory, Linux 6.1 x64',
      '- software: Node 20.20.2; PyTorch 2.13.0',
      '- load in the minute before: 0.13',
    ])
  })

  it('sets targets against what was measured', () => {
    expect(lines).toContain(
      '| WRN-pMoE step, 64x64, batch 16, float32: ours / Keras, masked | <= 0.750 | 0.600 | 0.748 (0.741 - 0.755) | yes |',
    )
    // R^2 has to exceed 0.99.
    expect(lines).toContain(
      '| R^2 of the time of PatchMoE against l, 16x16x640 in 4x4 patches | > 0.990 |  | 0.990 | no |',
    )
    expect(lines).toContain(
      '| Share of the best float32 convolution rate, WRN step, 64x64, batch 16 | >= 75.0 % | 85.0 % | 75.2 % (74.0 % - 76.0 %) | yes |',
    )
    expect(lines).toContain(
      '| WRN step, 64x64, batch 16, float32: ours / Keras | <= 1.000 | 0.850 | not measured |  |',
    )
  })

  it('writes tables with their sentence and notes', () => {
    const start = lines.indexOf('## (b) One training step')
    expect(lines.slice(start, start + 10)).toEqual([
      '## (b) One training step',
      '',
      'Compares a with b.',
      '',
      '| network | median |',
      '|---|---:|',
      '| wrn | 1.152 s |',
      '',
      '- on a quiet machine',
      '',
    ])
  })

  it('lists what could not be measured', () => {
    expect(lines.slice(-4)).toEqual(['## Not measured', '', '- (e): a \\| b', ''])
  })

  it('shows no targets where what ran is about none', () => {
    expect(renderMarkdown({ ...result, measured: {} })).not.toContain('Targets')
  })
})

describe('markdownTable', () => {
  it('escapes what would end a cell', () => {
    expect(markdownTable(['|R|'], [['a|b']])).toBe('| \\|R\\| |\n|---|\n| a\\|b |')
  })
})

describe('targets', () => {
  it('have one name each', () => {
    expect(new Set(targets.map(({ id }) => id)).size).toBe(targets.length)
  })

  it('count their limit as the comparison says', () => {
    const reached = (comparison: '<=' | '>' | '>=') =>
      [0.74, 0.75, 0.76].map(value => reaches({ ...targets[0]!, comparison, limit: 0.75 }, value))
    expect(reached('<=')).toEqual([true, true, false])
    expect(reached('>')).toEqual([false, false, true])
    expect(reached('>=')).toEqual([false, true, true])
  })
})

it('joins sections in their order', () => {
  const { tables, measured, failures } = joinSections([
    { ...result, measured: { 'pmoe/wrn': { value: 0.8 } }, failures: ['first'] },
    result,
  ])
  expect(tables).toHaveLength(2)
  expect(Object.keys(measured)).toEqual(['pmoe/wrn', 'pmoe/keras', 'line 4x4', 'rate wrn'])
  expect(failures).toEqual(['first', '(e): a | b'])
})

it('describes the machine at a moment', () => {
  const { date, node } = describeMachine(new Date('2026-01-31T12:34:56Z'))
  expect(date).toBe('2026-01-31 12:34 UTC')
  expect(node).toBe(process.versions.node)
})
