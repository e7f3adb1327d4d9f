import { describe, expect, it } from 'vitest'
import { markers, resultsSection, withSection } from '../../tools/study-results/section.js'

const study = (name: string, statuses: readonly string[], isStandIn = true) => ({
  name,
  title: name,
  claim: 'It is better.',
  isStandIn,
  brief: 'by 2 points',
  settings: { seeds: 5, scale: 'full' },
  cells: statuses.map(status => ({ status })),
})

describe('resultsSection', () => {
  it('lists studies by their numbers, with what failed and what is a stand-in', () => {
    const section = resultsSection([study('fig10', ['done', 'failed']), study('fig4', ['done'], false)])
    expect(section.split('\n')).toEqual([
      '| study | the claim | here | from |',
      '| --- | --- | --- | --- |',
      '| [fig4](../results/fig4/table.md) | It is better. | by 2 points | 5 seeds |',
      '| [fig10](../results/fig10/table.md) | It is better. | by 2 points | 5 seeds, 1 of 2 runs failed, stand-in |',
    ])
  })

  it('says that a study is small, or has not come to its end', () => {
    const { settings, ...begun } = study('fig4', ['done', 'done'], false)
    const section = resultsSection([{ ...begun, settings: { ...settings, scale: 'small' }, planned: 7 }])
    expect(section).toContain('| 5 seeds, small scale, 2 of 7 runs |')
  })
})

describe('withSection', () => {
  const text = `# Title\n${markers.begin}\nold\n${markers.end}\nafter`

  it('replaces what lies between the markers, again and again', () => {
    const once = withSection(text, 'new', 'results.md')
    expect(once).toBe(`# Title\n${markers.begin}\nnew\n${markers.end}\nafter`)
    expect(withSection(once, 'new', 'results.md')).toBe(once)
  })

  it.each([
    ['none', '0 and 0'],
    [`${markers.end}${markers.begin}`, '1 and 1'],
    [`${text}${markers.end}`, '1 and 2'],
  ])('refuses a text of %j', (wrong, counts) => {
    expect(() => withSection(wrong, 'new', 'results.md')).toThrow(
      `results.md: text must hold ${markers.begin} and, after it, ${markers.end}, once each, got ${counts}`,
    )
  })
})
