import {
  modelsOf,
  negatedFlag,
  runModels,
  type Setting,
  type Settings,
  settingPaths,
} from '../src/run/setting.js'
import type { SettingGroup } from '../src/run/settings.js'

const introduction = `# Settings of a run

What a flag of \`pmoe train\` may be, and where \`config.json\` of a run folder keeps it. What is not given comes from
the recipe of the dataset and the model, or is not set (-); settings without a flag are the recipe's alone. This page is
generated: \`npm run settings\` writes it from the tables in \`src/run/settings\`.
`

const columns = ['flag', 'what it is', 'value', 'unless given', 'models', 'in `config.json`']

/** The page docs/settings.md, as Markdown: a table for each group of settings. */
export function settingsPage(groups: readonly SettingGroup[]): string {
  const sections = groups.map(({ heading, settings }) => `## ${heading}\n\n${tableOf(settings)}\n`)
  return [introduction, ...sections].join('\n')
}

function tableOf(table: Settings): string {
  const rows = Object.entries(table).flatMap(([name, setting]) => rowsOf(name, setting))
  return [columns, columns.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |`).join('\n')
}

/** One row; of a setting with switches one for each of them. */
function rowsOf(name: string, setting: Setting): string[][] {
  const { flag, help, value, switches, negatable } = setting
  const paths = settingPaths(name, setting).map(path => code(path.join('.')))
  const where = [modelNames(setting), paths.join(', ') || '-']
  if (switches) {
    return switches.map(each => [
      code(each.flag),
      plain(each.help),
      code(each.sets),
      plain(each.byDefault ?? '-'),
      ...where,
    ])
  }
  const form = flag || value.read ? value.form : 'true or false'
  const flags = flag && negatable ? [flag, negatedFlag(flag)] : flag ? [flag] : []
  return [[flags.map(code).join(', ') || '-', plain(help), plain(form), usualValue(setting), ...where]]
}

function modelNames(setting: Setting): string {
  const models = modelsOf(setting)
  return models.length === 0 || models.length === runModels.length ? 'all' : models.join(', ')
}

/** What a setting is unless given: what it says itself, the recipe's where the configuration must have it, or nothing. */
function usualValue({ byDefault, in: placements }: Setting): string {
  if (byDefault !== undefined) return plain(byDefault)
  const isRequired = Object.values(placements).some(({ presence }) => presence === 'required')
  return isRequired ? 'recipe' : '-'
}

function code(text: string): string {
  return `\`${text}\``
}

/** Text in which Markdown finds nothing to format. */
function plain(text: string): string {
  return text.replace(/[\\`*_|[\]<>]/g, '\\$&')
}
