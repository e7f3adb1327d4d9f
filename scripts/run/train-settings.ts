import { Option } from 'commander'
import {
  flagName,
  modelsOf,
  negatedFlag,
  type RunModel,
  requirementOf,
  type Setting,
  type Settings,
  settingPath,
} from '../../src/run/setting.js'
import { type SettingGroup, settingGroups, settings } from '../../src/run/settings.js'
import { optionParser } from '../terminal/option-values.js'
import { UsageError, type Wording } from '../terminal/usage-error.js'

/** A flag of the command line, and the setting that it gives a value. */
export interface SettingOption {
  readonly option: Option
  /** Name of the setting in a configuration. */
  readonly name: string
  readonly setting: Setting
  /** What a flag without a value sets. */
  readonly sets?: string
}

/** Flags that were given, by commander's camel-case names. */
export type GivenFlags = Readonly<Record<string, unknown>>

/** Headings of the flags in the help of commands. */
export const optionGroups = {
  data: headingOf(settingGroups.data),
  augmentation: headingOf(settingGroups.augmentation),
  network: headingOf(settingGroups.network),
  mixture: headingOf(settingGroups.mixture),
  optimisation: headingOf(settingGroups.optimisation),
  transfer: headingOf(settingGroups.transfer),
  run: headingOf(settingGroups.run),
} as const

/** The flags of all settings, in the order of help; what is not given comes from the recipe of dataset and model. */
export const trainSettings: readonly SettingOption[] = Object.values<SettingGroup>(settingGroups).flatMap(
  group => settingOptions(group.settings, headingOf(group)),
)

/** The flags of some settings, under one heading of help. */
export function settingOptions(table: Settings, heading: string): readonly SettingOption[] {
  return Object.entries(table).flatMap(([name, setting]) => {
    const options = flagsOf(name, setting)
    for (const { option } of options) option.helpGroup(heading)
    return options
  })
}

/**
 * Says a message about options of the library with the flags that set them: `train: freezeUntil must` becomes
 * `train: --freeze-until must`.
 *
 * Names of several words are replaced wherever they stand alone, outside of quotes; those of one word, such as `epochs`, only where
 * they are what the message is about. Of an option with parts the part stays: `--anneal-patches: from must`.
 *
 * @param model whose settings the message can be about; those of all models unless given
 */
export function namingFlags(model?: RunModel): Wording {
  const flags = new Map(
    trainSettings.flatMap(({ option, name, setting, sets }) =>
      sets === undefined && !option.negate && hasSetting(name, setting, model)
        ? [[name, option.long as string] as const]
        : [],
    ),
  )
  const flag = (name: string): string | undefined => flags.get(name)
  return message =>
    message
      .replace(/^([^:]+: )([a-z]+)(\.(?=[a-z]+ must )| (?=must ))/, (text, where, name, next) =>
        flag(name) === undefined ? text : where + flag(name) + afterFlag(next),
      )
      .replace(
        /"[^"]*"|(?<![\w./-])([a-z]+[A-Z]\w*)(?:(\.)(?=[a-z]+ must )|(?![\w/]|\.\w))/g,
        (text, name, next = '') => (flag(name) === undefined ? text : flag(name) + afterFlag(next)),
      )
}

function hasSetting(name: string, setting: Setting, model: RunModel | undefined): boolean {
  return model ? settingPath(name, setting, model) !== undefined : modelsOf(setting).length > 0
}

function afterFlag(next: string): string {
  return next === '.' ? ': ' : next
}

type SettingName = keyof typeof settings

/** The settings that have a flag with one value. */
type FlaggedName = {
  [Name in SettingName]: (typeof settings)[Name] extends { readonly flag: string } ? Name : never
}[SettingName]

/** The name of a setting's flag, `--lr`, for messages. */
export function flagOf(name: FlaggedName): string {
  return flagName(settings[name].flag)
}

/**
 * The flag of one setting, for commands that have only some of the flags.
 *
 * @param overrides what differs in the help of that command
 */
export function settingOption(
  name: FlaggedName,
  overrides: Partial<Pick<Setting, 'help' | 'byDefault'>> = {},
): Option {
  const setting = settings[name]
  return optionOf(setting.flag, { ...setting, ...overrides })
}

function headingOf({ heading }: SettingGroup): string {
  return `${heading}:`
}

function flagsOf(name: string, setting: Setting): SettingOption[] {
  const { flag, switches = [] } = setting
  const switchOptions = switches.map(each => ({
    option: new Option(each.flag, description(each)),
    name,
    setting,
    sets: each.sets,
  }))
  if (flag === undefined) return switchOptions
  const options = [{ option: optionOf(flag, setting), name, setting }, ...switchOptions]
  if (!setting.negatable) return options
  return [...options, { option: new Option(negatedFlag(flag), `without ${flagName(flag)}`), name, setting }]
}

function optionOf(flag: string, setting: Setting): Option {
  const { read, choices, repeats } = setting.value
  const option = new Option(flag, description(setting))
  if (choices) return option.choices(choices)
  if (!read) return option
  const parse = optionParser({ read })
  if (!repeats) return option.argParser(parse)
  return option.argParser((text, before: readonly unknown[] = []) => [
    ...before,
    ...(parse(text) as unknown[]),
  ])
}

function description({ help, byDefault }: Pick<Setting, 'help' | 'byDefault'>): string {
  return byDefault === undefined ? help : `${help} (default: ${byDefault})`
}

/**
 * Puts the given flags into a configuration.
 *
 * @param options the flags that can be given
 * @returns a changed copy
 * @throws UsageError for a flag that the model does not have, or two that exclude each other
 */
export function withFlags(
  config: object,
  model: RunModel,
  flags: GivenFlags,
  options: readonly SettingOption[] = trainSettings,
): object {
  const given = options.filter(
    ({ option, setting }) => modelsOf(setting).length > 0 && isGiven(option, flags),
  )
  refuseTwice(given)
  return given.reduce((changed, { option, name, setting, sets }) => {
    const path = settingPath(name, setting, model)
    const value = sets ?? flags[option.attributeName()]
    const requirement = requirementOf(setting, model, value)
    if (path && requirement !== undefined) {
      throw new UsageError(`train: ${option.long} must be ${requirement} with model ${model}, got ${value}`)
    }
    if (path) return withValue(changed, path, value)
    const reason = Object.values(setting.in).find(({ elsewhere }) => elsewhere !== undefined)?.elsewhere
    if (reason !== undefined) {
      throw new UsageError(`train: ${option.long} must be left out with model ${model}, which ${reason}`)
    }
    throw new UsageError(
      `train: ${option.long} must be used with ${modelsOf(setting).join(', ')}, got model ${model}`,
    )
  }, config)
}

/** Whether a flag was given; one and the flag that takes it back share a name. */
function isGiven(option: Option, flags: GivenFlags): boolean {
  const value = flags[option.attributeName()]
  return value !== undefined && option.negate === (value === false)
}

/** Two switches of one setting exclude each other. */
function refuseTwice(given: readonly SettingOption[]): void {
  for (const [i, { name, option }] of given.entries()) {
    const other = given.slice(i + 1).find(each => each.name === name)
    if (!other) continue
    throw new UsageError(`train: ${option.long} and ${other.option.long} must not be given together`)
  }
}

function withValue(config: object, [key = '', ...inner]: readonly string[], value: unknown): object {
  if (inner.length === 0) return { ...config, [key]: value }
  const part: unknown = Reflect.get(config, key)
  return { ...config, [key]: withValue(typeof part === 'object' && part !== null ? part : {}, inner, value) }
}
