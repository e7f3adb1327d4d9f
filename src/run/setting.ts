import * as z from 'zod'
import { type ModelName, modelNames } from '../models/recipes.js'
import type { SettingValue } from './setting-values.js'

/** The models that a run trains: networks of the project, or one that was trained before. */
export type RunModel = ModelName | 'init'

/** Every model of a run, in the order in which help texts list them. */
export const runModels: readonly RunModel[] = [...modelNames, 'init']

/** A part of a run's configuration: its path there, and the models whose configurations have it. */
interface Section {
  readonly path: readonly string[]
  readonly models: readonly RunModel[]
}

/** The parts of a run's configuration that hold settings. */
export const sections = {
  run: { path: [], models: runModels },
  dataset: { path: ['dataset'], models: runModels },
  training: { path: ['training'], models: runModels },
  wideResNet: { path: ['model', 'options'], models: ['wrn', 'wrn-pmoe'] },
  wideResNetMixture: { path: ['model', 'options', 'pmoe'], models: ['wrn-pmoe'] },
  twoLayer: { path: ['model', 'options'], models: ['two-layer', 'two-layer-pmoe'] },
  sampleMoE: { path: ['model', 'options'], models: ['sample-moe', 'sample-single'] },
  sampleNetworks: { path: ['model', 'options'], models: ['sample-networks'] },
  routed: { path: ['model', 'options'], models: ['routed'] },
  initial: { path: ['model', 'options'], models: ['init'] },
  insertedMixture: { path: ['model', 'options', 'insert'], models: ['init'] },
} as const satisfies Readonly<Record<string, Section>>

/** A part of a run's configuration. */
export type SectionName = keyof typeof sections

/** How one part of the configuration holds a setting. */
export interface Placement {
  readonly presence: 'required' | 'optional'
  /** For `required`: its value for configurations that were written before the setting existed. */
  readonly ifMissing?: unknown
  /** The models that have the flag; those of the part unless given. */
  readonly models?: readonly RunModel[]
  /** Why the other models do not have it, as the end of a sentence about one of them: `reads images in parts`. */
  readonly elsewhere?: string
  /** What it may be here, where that differs from what its value may be elsewhere. */
  readonly schema?: z.ZodType
}

/** The configuration must have the setting here. */
export const required = { presence: 'required' } as const

/** The configuration may have the setting here. */
export const optional = { presence: 'optional' } as const

/** A flag without a value, one of several that give a setting different values. */
export interface Switch {
  readonly flag: string
  readonly sets: string
  readonly help: string
  readonly byDefault?: string
}

/** One setting of a run: declared here, and nowhere else. */
export interface Setting {
  /** As help shows it, `--lr <rate>`; a setting without a flag is decided by recipes alone. */
  readonly flag?: string
  /** Whether a flag without a value can be taken back, `--no-flip`, where another setting switches it on. */
  readonly negatable?: boolean
  /** Flags without a value, in the place of `flag`. */
  readonly switches?: readonly Switch[]
  /** What it is, as a part of a sentence. */
  readonly help: string
  /** Its default in words; left out where the recipe of the dataset and the model decides it. */
  readonly byDefault?: string
  readonly value: SettingValue
  /** How a resumed run may change it; only for settings that do not affect what was computed so far. */
  readonly whenResumed?: 'may differ' | 'may grow'
  /** The parts of the configuration that hold it under its name; none for a setting that only chooses the recipe. */
  readonly in: Partial<Readonly<Record<SectionName, Placement>>>
}

/** Settings by the names that they have in a configuration. */
export type Settings = Readonly<Record<string, Setting>>

type NamesIn<Table, Name extends SectionName> = {
  [Key in keyof Table]: Table[Key] extends { readonly in: { readonly [Part in Name]: Placement } }
    ? Key
    : never
}[keyof Table]

type PlacementIn<Of, Name extends SectionName> = Of extends {
  readonly in: { readonly [Part in Name]: infer InPart }
}
  ? InPart
  : never

type SchemaIn<Of, Name extends SectionName> =
  PlacementIn<Of, Name> extends {
    readonly schema: infer Own extends z.ZodType
  }
    ? Own
    : Of extends { readonly value: { readonly schema: infer Usual extends z.ZodType } }
      ? Usual
      : never

type FieldIn<Of, Name extends SectionName> =
  PlacementIn<Of, Name> extends { readonly presence: 'optional' }
    ? z.ZodExactOptional<SchemaIn<Of, Name>>
    : PlacementIn<Of, Name> extends { readonly ifMissing: unknown }
      ? z.ZodDefault<SchemaIn<Of, Name>>
      : SchemaIn<Of, Name>

/** The schemas of the settings of a table that stand in one part of the configuration. */
export type SectionShape<Table, Name extends SectionName> = {
  [Key in NamesIn<Table, Name>]: FieldIn<Table[Key], Name>
}

/** The schemas of the settings that stand in one part of the configuration, in the order of the table. */
export function sectionShape<Table extends Settings, Name extends SectionName>(
  table: Table,
  section: Name,
): SectionShape<Table, Name> {
  const fields = Object.entries(table).flatMap(([name, setting]) => {
    const placement = setting.in[section]
    return placement ? [[name, field(setting, placement)]] : []
  })
  return Object.fromEntries(fields) as SectionShape<Table, Name>
}

function field({ value }: Setting, { presence, ifMissing, schema = value.schema }: Placement): z.ZodType {
  if (presence === 'optional') return schema.exactOptional()
  return ifMissing === undefined ? schema : schema.default(ifMissing)
}

/** The path of a setting in the configuration of a model, `[training, epochs]`; undefined where the model lacks it. */
export function settingPath(name: string, setting: Setting, model: RunModel): readonly string[] | undefined {
  const section = sectionsOf(setting).find(({ models }) => models.includes(model))
  return section && [...section.path, name]
}

/**
 * What is wrong with the value of a setting for a model, as `must be` goes on; undefined where it may have it, or has no
 * values of its own.
 */
export function requirementOf(setting: Setting, model: RunModel, value: unknown): string | undefined {
  const schema = sectionsOf(setting).find(({ models }) => models.includes(model))?.schema
  const result = schema?.safeParse(value)
  if (!schema || !result || result.success) return undefined
  if (schema instanceof z.ZodEnum) return `one of ${schema.options.join(', ')}`
  if (schema instanceof z.ZodNumber && typeof value !== 'number') return 'one number'
  return result.error.issues.map(({ message }) => message).join('; ')
}

/** The paths that a setting has in the configurations of all models, each once. */
export function settingPaths(name: string, setting: Setting): readonly (readonly string[])[] {
  const paths = sectionsOf(setting).map(({ path }) => [...path, name])
  const keys = paths.map(path => path.join('.'))
  return paths.filter((_, i) => keys.indexOf(keys[i] ?? '') === i)
}

/** The models that have the flag of a setting. */
export function modelsOf(setting: Setting): readonly RunModel[] {
  return runModels.filter(model => sectionsOf(setting).some(({ models }) => models.includes(model)))
}

function sectionsOf(setting: Setting): readonly (Section & Pick<Placement, 'schema'>)[] {
  return (Object.keys(setting.in) as SectionName[]).map(name => {
    const { path } = sections[name]
    const { models = sections[name].models, schema } = setting.in[name] ?? {}
    return { path, models, ...(schema && { schema }) }
  })
}

/** The flag that takes back one without a value: `--no-flip`. */
export function negatedFlag(flag: string): string {
  return `--no-${flagName(flag).slice(2)}`
}

/** The name of a flag without the placeholder of its value: `--lr`. */
export function flagName(flag: string): string {
  return flag.split(' ')[0] ?? flag
}
