import { readFile } from 'node:fs/promises'
import { Command } from 'commander'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { settingOptions, withFlags } from '../../scripts/run/train-settings.js'
import { datasets } from '../../src/data/datasets/datasets.js'
import { BORDERS } from '../../src/layers/moe/experts/expert-convolution.js'
import { GATES } from '../../src/layers/moe/gates.js'
import { SAMPLE_GATES } from '../../src/layers/moe/sample-routing.js'
import { optional, required, type Settings, sectionShape } from '../../src/run/setting.js'
import { choice, share } from '../../src/run/setting-values.js'
import { settingGroups, settings } from '../../src/run/settings.js'
import { optimizerNames } from '../../src/train/optimizers/optimizer-options.js'
import { settingsPage } from '../../tools/settings-page.js'

/** Two settings that there are not: each is one entry. */
const own = {
  coarseShare: {
    flag: '--coarse-share <share>',
    help: 'share of the batches that are coarse',
    byDefault: '0',
    value: share,
    in: { training: optional },
  },
  rateCurve: {
    flag: '--rate-curve <name>',
    help: 'how the rate falls',
    value: choice(['constant', 'cosine']),
    in: { training: { ...required, ifMissing: 'constant', models: ['wrn'] } },
  },
} as const satisfies Settings

const options = settingOptions(own, 'Optimisation:')

test('one entry is an option of the command line under its heading, which reads and refuses', () => {
  const command = new Command('train').exitOverride().configureOutput({ writeErr: () => {} })
  for (const { option } of options) command.addOption(option)
  const help = command.helpInformation().replace(/\s+/g, ' ')
  expect(help).toContain(
    'Optimisation: --coarse-share <share> share of the batches that are coarse (default: 0)',
  )
  expect(help).toContain('--rate-curve <name> how the rate falls (choices: "constant", "cosine")')
  const parse = (...words: string[]) => command.parse(words, { from: 'user' }).opts()
  expect(() => parse('--coarse-share', '1')).toThrow(
    "error: option '--coarse-share <share>' argument '1' is invalid. It must be a number in [0, 1).",
  )
  expect(() => parse('--rate-curve', 'linear')).toThrow('Allowed choices are constant, cosine.')
  expect(parse('--coarse-share', '0.1', '--rate-curve', 'cosine')).toEqual({
    coarseShare: 0.1,
    rateCurve: 'cosine',
  })
})

test('the same entry is a key of the configuration: required or not, with what older ones mean', () => {
  const training = z.strictObject(sectionShape(own, 'training'))
  const parsed: { coarseShare?: number; rateCurve: 'constant' | 'cosine' } = training.parse({
    coarseShare: 0.1,
    rateCurve: 'cosine',
  })
  expect(parsed).toEqual({ coarseShare: 0.1, rateCurve: 'cosine' })
  expect(training.parse({})).toEqual({ rateCurve: 'constant' })
  expect(() => training.parse({ coarseShare: 1 })).toThrow('expected number to be <1')
  expect(() => training.parse({ rateCurve: 'linear' })).toThrow('"constant\\"|\\"cosine')
  expect(sectionShape(own, 'dataset')).toEqual({})
})

test('its flag sets that key, for the models that have it', () => {
  const before = { training: { epochs: 3 } }
  expect(withFlags(before, 'wrn', { coarseShare: 0.1, rateCurve: 'cosine' }, options)).toEqual({
    training: { epochs: 3, coarseShare: 0.1, rateCurve: 'cosine' },
  })
  expect(before).toEqual({ training: { epochs: 3 } })
  expect(() => withFlags(before, 'init', { rateCurve: 'cosine' }, options)).toThrow(
    'train: --rate-curve must be used with wrn, got model init',
  )
})

test('it is a row of the documentation', () => {
  const rows = settingsPage([{ heading: 'Optimisation', settings: own }]).split('\n')
  expect(rows[0]).toBe('# Settings of a run')
  expect(rows).toContain('## Optimisation')
  expect(rows).toContain(
    '| `--coarse-share <share>` | share of the batches that are coarse | a number in \\[0, 1) | 0 | all | `training.coarseShare` |',
  )
  expect(rows).toContain(
    '| `--rate-curve <name>` | how the rate falls | constant, cosine | recipe | wrn | `training.rateCurve` |',
  )
})

test('names that settings choose from are those of the modules that define them', () => {
  expect(settings.gate.value.choices).toEqual([...GATES, 'softmax', 'raw', 'product'])
  expect([...SAMPLE_GATES].filter(gate => !settings.gate.value.choices.includes(gate))).toEqual([])
  expect(settings.border.value.choices).toEqual(BORDERS)
  expect(settings.optimizer.value.choices).toEqual(optimizerNames)
  expect(settings.dataset.value.choices).toEqual(datasets.map(({ name }) => name))
})

test('no two settings have the same flag or the same name', () => {
  const flags = settingOptions(settings, '').map(({ option }) => option.long)
  expect(flags.filter((flag, i) => flags.indexOf(flag) !== i)).toEqual([])
  const names = Object.values(settingGroups).flatMap(group => Object.keys(group.settings))
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([])
})

test('docs/settings.md is what npm run settings writes', async () => {
  const page = await readFile(new URL('../../docs/settings.md', import.meta.url), 'utf8')
  expect(page).toBe(settingsPage(Object.values(settingGroups)))
})
