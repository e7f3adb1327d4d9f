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
  labelSmoothing: {
    flag: '--label-smoothing <share>',
    help: 'share of a label that other classes get',
    byDefault: '0',
    value: share,
    in: { training: optional },
  },
  schedule: {
    flag: '--lr-schedule <name>',
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
    'Optimisation: --label-smoothing <share> share of a label that other classes get (default: 0)',
  )
  expect(help).toContain('--lr-schedule <name> how the rate falls (choices: "constant", "cosine")')
  const parse = (...words: string[]) => command.parse(words, { from: 'user' }).opts()
  expect(() => parse('--label-smoothing', '1')).toThrow(
    "error: option '--label-smoothing <share>' argument '1' is invalid. It must be a number in [0, 1).",
  )
  expect(() => parse('--lr-schedule', 'linear')).toThrow('Allowed choices are constant, cosine.')
  expect(parse('--label-smoothing', '0.1', '--lr-schedule', 'cosine')).toEqual({
    labelSmoothing: 0.1,
    lrSchedule: 'cosine',
  })
})

test('the same entry is a key of the configuration: required or not, with what older ones mean', () => {
  const training = z.strictObject(sectionShape(own, 'training'))
  const parsed: { labelSmoothing?: number; schedule: 'constant' | 'cosine' } = training.parse({
    labelSmoothing: 0.1,
    schedule: 'cosine',
  })
  expect(parsed).toEqual({ labelSmoothing: 0.1, schedule: 'cosine' })
  expect(training.parse({})).toEqual({ schedule: 'constant' })
  expect(() => training.parse({ labelSmoothing: 1 })).toThrow('expected number to be <1')
  expect(() => training.parse({ schedule: 'linear' })).toThrow('"constant\\"|\\"cosine')
  expect(sectionShape(own, 'dataset')).toEqual({})
})

test('its flag sets that key, for the models that have it', () => {
  const before = { training: { epochs: 3 } }
  expect(withFlags(before, 'wrn', { labelSmoothing: 0.1, lrSchedule: 'cosine' }, options)).toEqual({
    training: { epochs: 3, labelSmoothing: 0.1, schedule: 'cosine' },
  })
  expect(before).toEqual({ training: { epochs: 3 } })
  expect(() => withFlags(before, 'init', { lrSchedule: 'cosine' }, options)).toThrow(
    'train: --lr-schedule must be used with wrn, got model init',
  )
})

test('it is a row of the documentation', () => {
  const rows = settingsPage([{ heading: 'Optimisation', settings: own }]).split('\n')
  expect(rows[0]).toBe('# Settings of a run')
  expect(rows).toContain('## Optimisation')
  expect(rows).toContain(
    '| `--label-smoothing <share>` | share of a label that other classes get | a number in \\[0, 1) | 0 | all | `training.labelSmoothing` |',
  )
  expect(rows).toContain(
    '| `--lr-schedule <name>` | how the rate falls | constant, cosine | recipe | wrn | `training.schedule` |',
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
