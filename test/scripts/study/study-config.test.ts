import { describe, expect, it } from 'vitest'
import { experiments } from '../../../scripts/experiments/experiments.js'
import { trainSettings } from '../../../scripts/run/train-settings.js'
import { gridOf, parseStudyConfig, studyDifferences } from '../../../scripts/study/study-config.js'
import { datasetEntry } from '../../../src/data/datasets.js'
import { recipe } from '../../../src/models/recipes.js'
import { smallStudy } from './small-study.js'

describe('the experiments', () => {
  it('have flags that pmoe train knows for their models, and datasets with recipes', () => {
    for (const experiment of experiments) {
      if (experiment.kind === 'cost') continue
      const { data, scales, paperScale, variants } = experiment
      for (const scale of [scales.full, scales.small, paperScale]) {
        for (const variant of scale.variants ?? variants) {
          for (const name of Object.keys({ ...scale.flags, ...variant.flags })) {
            const setting = trainSettings.find(({ option }) => option.attributeName() === name)
            expect(setting?.path[variant.model], `${experiment.name}: ${name}`).toBeDefined()
          }
          for (const dataset of [data.dataset, data.standIn.dataset]) {
            expect(datasetEntry(dataset).name).toBe(dataset)
            expect(recipe(dataset, variant.model)).toBeDefined()
          }
        }
      }
    }
  })

  it('have variants of different names, each at every scale', () => {
    for (const experiment of experiments) {
      if (experiment.kind === 'cost') continue
      const names = experiment.variants.map(({ name }) => name)
      expect(new Set(names).size).toBe(names.length)
      const own = experiment.paperScale.variants?.map(({ name }) => name) ?? names
      expect(own).toEqual(names)
    }
  })

  it("train the paper's settings on its own data at full scale only", () => {
    expect(gridOf('fig10', 'full', true).grid).toMatchObject({
      samples: [2000, 4000, 6000, 8000, 10_000],
      flags: { widen: 10, epochs: 50, batchSize: 128, bnMomentum: 0.99 },
    })
    expect(gridOf('fig10', 'full', false).grid).toMatchObject({ flags: { widen: 1 } })
    expect(gridOf('table2', 'small', false)).toEqual(gridOf('fig12', 'small', false))
  })

  it('are known by name', () => {
    expect(() => gridOf('fig13', 'full', false)).toThrow(
      new RangeError(
        'study: name must be one of fig4, fig5, fig6, fig7, fig8, fig9, fig10, fig11, fig12, fig14, fig15, fig16, ' +
          'table1, ablation, table2, got fig13',
      ),
    )
  })
})

describe('parseStudyConfig', () => {
  it('reads what was written', () => {
    const config = smallStudy()
    expect(parseStudyConfig(JSON.stringify(config), 'study.json')).toEqual(config)
  })

  it.each([
    ['{', 'study.json: must be JSON, got 1 characters that are not'],
    ['{"seeds":0}', 'study.json: must be the configuration of a study, got experiment:'],
  ])('refuses %s', (text, message) => {
    expect(() => parseStudyConfig(text, 'study.json')).toThrow(message)
  })
})

describe('studyDifferences', () => {
  const was = smallStudy()

  it('names what differs, variants by their names; versions do not count', () => {
    const { grid } = was
    if (grid.kind !== 'training') throw new Error('smallStudy trains')
    const [cnn, pmoe] = grid.variants
    const asked = {
      ...was,
      sharedSubset: true,
      versions: { ...was.versions, node: '24.0.0' },
      grid: {
        ...grid,
        samples: [20],
        variants: [cnn!, { ...pmoe!, flags: { ...pmoe!.flags, experts: 4 } }],
      },
    }
    expect(studyDifferences(was, asked)).toEqual([
      { key: 'sharedSubset', was: false, asked: true },
      { key: 'grid.variants.pMoE.flags.experts', was: 2, asked: 4 },
      { key: 'grid.samples', was: [20, 40], asked: [20] },
    ])
  })

  it('lets seeds be added, not taken away', () => {
    expect(studyDifferences(was, { ...was, seeds: 3 })).toEqual([])
    expect(studyDifferences(was, { ...was, seeds: 1 })).toEqual([{ key: 'seeds', was: 2, asked: 1 }])
  })
})
