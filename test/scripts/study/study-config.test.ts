import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { experiments } from '../../../scripts/experiments/experiments.js'
import { trainSettings } from '../../../scripts/run/train-settings.js'
import {
  gridOf,
  parseStudyConfig,
  studyCells,
  studyConfig,
  studyDifferences,
} from '../../../scripts/study/study-config.js'
import { datasetEntry } from '../../../src/data/datasets/datasets.js'
import { recipe } from '../../../src/models/recipes.js'
import { modelsOf } from '../../../src/run/setting.js'
import { smallStudy } from './small-study.js'

describe('the experiments', () => {
  it('have flags that pmoe train knows for their models, and datasets with recipes', () => {
    for (const experiment of experiments) {
      if (experiment.kind !== 'training') continue
      const { data, scales, paperScale, variants } = experiment
      for (const scale of [scales.full, scales.small, paperScale]) {
        for (const variant of scale.variants ?? variants) {
          for (const name of Object.keys({ ...scale.flags, ...variant.flags })) {
            const setting = trainSettings.find(({ option }) => option.attributeName() === name)
            expect(setting && modelsOf(setting.setting), `${experiment.name}: ${name}`).toContain(
              variant.model,
            )
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
      if (experiment.kind !== 'training') continue
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
          'table1, ablation, clusters, pruning, bound, megapixel, localise, transfer, terms, table2, got fig13',
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

  it('reads every experiment at every scale', () => {
    for (const { name } of experiments) {
      for (const scale of ['full', 'small'] as const) {
        const { grid, seeds } = gridOf(name, scale, false)
        const config = { ...smallStudy(), experiment: name, scale, grid, seeds }
        expect(parseStudyConfig(JSON.stringify(config), 'study.json')).toEqual(config)
      }
    }
  })

  it('refuses more cells than can be listed, before they are listed', () => {
    const study = smallStudy()
    const samples = Array.from({ length: 10_000 }, (_, i) => i + 1)
    const many = { ...study, seeds: 10_000, grid: { ...study.grid, samples } }
    const variants = study.grid.kind === 'training' ? study.grid.variants.length : 0
    expect(() => parseStudyConfig(JSON.stringify(many), 'study.json')).toThrow(
      `study.json: a study must have at most 100000 cells, got ${1e8 * variants} (10000 seeds)`,
    )
    expect(() => parseStudyConfig(JSON.stringify({ ...study, seeds: 2 ** 31 }), 'study.json')).toThrow(
      'study.json: must be the configuration of a study, got seeds: Too big',
    )
    expect(() => studyConfig({ experiment: 'fig8', seeds: 1e9 }, 'wasm', study.versions)).toThrow(
      /^study: a study must have at most 100000 cells, got \d+ \(1000000000 seeds\)$/,
    )
  })

  it('refuses flags that pmoe train does not have', () => {
    const study = smallStudy()
    const wrong = { ...study, grid: { ...study.grid, flags: { epochz: 3 } } }
    expect(() => parseStudyConfig(JSON.stringify(wrong), 'study.json')).toThrow(/grid.flags.epochz: /)
  })

  it.each([{ validation: 0.2 }, { earlyStop: 3 }, { schedule: 'plateau' }])(
    'refuses %j, for which a study has no validation images',
    given => {
      const study = smallStudy()
      const { grid } = study
      if (grid.kind !== 'training') throw new Error('another study')
      const [first, ...others] = grid.variants
      const common = { ...grid, flags: { ...grid.flags, ...given } }
      const own = { ...grid, variants: [{ ...first, flags: { ...first?.flags, ...given } }, ...others] }
      for (const [wrong, path] of [
        [common, 'grid.flags'],
        [own, 'grid.variants.0.flags'],
      ] as const) {
        expect(() => parseStudyConfig(JSON.stringify({ ...study, grid: wrong }), 'study.json')).toThrow(
          `got ${path}: must have no validation, earlyStop or schedule plateau: runs of a study have fixed epochs`,
        )
      }
      const cosine = { ...grid, flags: { ...grid.flags, schedule: 'cosine' } }
      expect(() => parseStudyConfig(JSON.stringify({ ...study, grid: cosine }), 'study.json')).not.toThrow()
    },
  )

  it('with one value that is another gives cells, or says what is wrong', () => {
    const study = JSON.stringify(smallStudy())
    const replacement = fc.constantFrom(undefined, null, 0, -1, 2 ** 31, 'x', [], {}, [null], [[]], true)
    let number = 0
    JSON.parse(study, (_, value) => {
      number++
      return value
    })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: number }), replacement, (at, to) => {
        let count = 0
        const changed = JSON.parse(study, (_, value) => (++count === at ? to : value))
        try {
          const config = parseStudyConfig(JSON.stringify(changed) ?? 'null', 'study.json')
          expect(studyCells(config).length).toBeGreaterThan(0)
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError)
          expect((error as Error).message).toMatch(/^study\.json: /)
        }
      }),
      { numRuns: 500 },
    )
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
