import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { experiments } from '../scripts/experiments/experiments.js'
import { cellsOf } from '../scripts/study/cells.js'
import { resultsSection, withSection } from '../tools/study-results/section.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const names = readdirSync(`${root}/results`, { withFileTypes: true })
  .filter(entry => entry.isDirectory())
  .map(({ name }) => name)
const resultsOf = (name: string) => JSON.parse(readFileSync(`${root}/results/${name}/results.json`, 'utf8'))

/** Studies of hours, committed at the small scale, or as far as they were run, which `planned` tells. */
const long = ['megapixel', 'megapixel-full', 'localise', 'transfer']
const experimentOf = (name: string) => name.replace(/-full$/, '')

describe('the committed results', () => {
  it('are of studies that there are', () => {
    const known = experiments.map(({ name }) => name)
    expect(names.length).toBeGreaterThan(0)
    expect(names.filter(name => !known.includes(experimentOf(name)))).toEqual([])
  })

  it.each(names)(
    'of %s are of the grid that it has now, at full scale and whole unless that takes hours',
    name => {
      const { settings, cells, summary, planned: runs } = resultsOf(name)
      const experiment = experiments.find(candidate => candidate.name === experimentOf(name))
      const scale = long.includes(name) && !name.endsWith('-full') ? 'small' : 'full'
      expect(settings.scale).toBe(scale)
      expect(settings.seeds).toBeGreaterThanOrEqual(experiment?.scales[scale].seeds as number)
      const planned = cellsOf(settings.grid, settings.seeds)
      const indices: number[] = cells.map((result: { cell: { index: number } }) => result.cell.index)
      const all = planned.map(({ index }) => index)
      if (long.includes(name) && runs !== undefined) {
        expect(all).toEqual(expect.arrayContaining(indices))
        expect(runs).toBe(all.length)
      } else expect(indices).toEqual(all)
      if (experiment?.kind === 'training') {
        expect(settings.grid.samples).toEqual(experiment.scales.full.samples)
        expect(summary.done + summary.failed).toBe(planned.length)
      }
      for (const file of ['table.md', 'figure.svg', 'figure.png']) {
        expect(existsSync(`${root}/results/${name}/${file}`)).toBe(true)
      }
    },
  )

  it('are what docs/results.md says', () => {
    const page = readFileSync(`${root}/docs/results.md`, 'utf8')
    const studies = names.map(name => ({ ...resultsOf(name), name }))
    expect(withSection(page, resultsSection(studies), 'results.md')).toBe(page)
  })
})
