import * as z from 'zod'
import { runModels, type Setting, sectionShape, settingPaths } from './setting.js'
import { settings } from './settings.js'

const shapes = {
  run: sectionShape(settings, 'run'),
  dataset: sectionShape(settings, 'dataset'),
  training: sectionShape(settings, 'training'),
  wideResNet: sectionShape(settings, 'wideResNet'),
  wideResNetMixture: sectionShape(settings, 'wideResNetMixture'),
  twoLayer: sectionShape(settings, 'twoLayer'),
  sampleMoE: sectionShape(settings, 'sampleMoE'),
  sampleNetworks: sectionShape(settings, 'sampleNetworks'),
  routed: sectionShape(settings, 'routed'),
  initial: sectionShape(settings, 'initial'),
  insertedMixture: sectionShape(settings, 'insertedMixture'),
}

const wideResNet = z.strictObject({
  kind: z.literal('wide-resnet'),
  ...shapes.wideResNet,
  pmoe: z.strictObject(shapes.wideResNetMixture).exactOptional(),
})

const twoLayer = z.strictObject({ kind: z.literal('two-layer'), ...shapes.twoLayer })

const sampleMoE = z.strictObject({ kind: z.literal('sample-moe'), ...shapes.sampleMoE })

const sampleNetworks = z.strictObject({ kind: z.literal('sample-networks'), ...shapes.sampleNetworks })

/** The network of a run on images that are read in parts, as it is requested. */
const plannedRouted = z.strictObject({ kind: z.literal('routed'), ...shapes.routed })

const side = z.int().min(1)

/** The network of a run on images that are read in parts, once their size is known. */
const routed = plannedRouted.extend({
  /** Height, width and channels that all images get. */
  imageShape: z.tuple([side, side, side]),
})

/** The network of a run that starts from one trained before, as it is requested. */
const plannedInitial = z.strictObject({
  kind: z.literal('init'),
  ...shapes.initial,
  insert: z
    .strictObject({
      ...shapes.insertedMixture,
      numExperts: shapes.insertedMixture.numExperts.exactOptional(),
    })
    .exactOptional(),
})

/** The network of a run that starts from one trained before, once its mixture is complete. */
const initial = plannedInitial.extend({
  /** The mixture that took the place of a convolution. */
  insert: z.strictObject(shapes.insertedMixture).exactOptional(),
})

const dataset = z.strictObject({
  name: z.string().min(1),
  /** Folder of the user's files; null for the samples of the package. */
  data: z.string().min(1).nullable(),
  ...shapes.dataset,
})

const name = z.enum(runModels)

const common = {
  training: z.strictObject(shapes.training),
  ...shapes.run,
  versions: z.strictObject({
    patchMoe: z.string(),
    tfjs: z.string(),
    node: z.string(),
    tensorflow: z.string().exactOptional(),
  }),
}

/** The requested configuration of a run, before its images are known. */
const plannedRunSchema = z.strictObject({
  dataset,
  model: z.strictObject({
    name,
    options: z.discriminatedUnion('kind', [
      wideResNet,
      twoLayer,
      sampleMoE,
      sampleNetworks,
      plannedRouted,
      plannedInitial,
    ]),
  }),
  ...common,
})

/** What `config.json` of a run folder must hold. */
const runConfigSchema = z.strictObject({
  dataset: dataset.extend({
    classNames: z.array(z.string()).min(2),
    groupNames: z.array(z.string()).min(2).exactOptional(),
  }),
  model: z.strictObject({
    name,
    options: z.discriminatedUnion('kind', [wideResNet, twoLayer, sampleMoE, sampleNetworks, routed, initial]),
  }),
  ...common,
})

type Immutable<T> = T extends object ? { readonly [Key in keyof T]: Immutable<T[Key]> } : T

/** Everything that is needed to repeat a run. */
export type RunConfig = Immutable<z.infer<typeof runConfigSchema>>

/** The requested configuration of a run, before its images are known. */
export type PlannedRun = Immutable<z.infer<typeof plannedRunSchema>>

/** One setting in which two configurations differ; undefined where one of them lacks it. */
export interface ConfigDifference {
  /** Path of the setting, `training.learningRate`. */
  readonly key: string
  readonly was: unknown
  readonly asked: unknown
}

/**
 * Reads the text of a `config.json`.
 *
 * @param path of the file, for errors
 * @throws Error naming the path and the position where it is not JSON; RangeError naming the keys that are wrong
 */
export function parseRunConfig(text: string, path: string): RunConfig {
  return checkedFile(parseConfigJson(text, path), path)
}

/**
 * Parses the text of a file that holds a configuration; what the configuration says is not looked into.
 *
 * @throws Error naming the path and the position where the text is not JSON
 */
export function parseConfigJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Error(
      `${path}: must be JSON, got ${text.length} characters that are not: ${(cause as Error).message}`,
      { cause },
    )
  }
}

/** Checks a configuration; the error names the version of patch-moe that wrote it. */
function checkedFile(json: unknown, path: string): RunConfig {
  try {
    return runConfig(json, path)
  } catch (error) {
    const { data: writer } = versionedConfig.safeParse(json)
    if (!(error instanceof RangeError) || writer === undefined) throw error
    throw new RangeError(`${error.message} (written by patch-moe ${writer.versions.patchMoe})`, {
      cause: error.cause,
    })
  }
}

/** The part of a configuration that every version writes. */
const versionedConfig = z.looseObject({ versions: z.looseObject({ patchMoe: z.string() }) })

/**
 * Checks that a value is the configuration of a run.
 *
 * @param where the file or the caller, for errors
 * @throws RangeError naming every key that is wrong
 */
export function runConfig(value: unknown, where: string): RunConfig {
  return checked(runConfigSchema, value, where) as RunConfig
}

/**
 * Checks that a value is a configuration that can be requested for a run.
 *
 * @param where the caller, for errors
 * @throws RangeError naming every key that is wrong
 */
export function plannedRun(value: unknown, where: string): PlannedRun {
  return checked(plannedRunSchema, value, where) as PlannedRun
}

function checked<Schema extends z.ZodType>(schema: Schema, value: unknown, where: string): z.infer<Schema> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issues = result.error.issues.map(issue => `${issue.path.join('.') || 'the whole'}: ${issue.message}`)
  throw new RangeError(`${where}: must be the configuration of a run, got ${issues.join('; ')}`, {
    cause: result.error,
  })
}

/** The same run with another network. */
export function withNetwork(run: PlannedRun, options: PlannedRun['model']['options']): PlannedRun {
  return { ...run, model: { ...run.model, options } }
}

/** The settings in which two configurations differ, in the order of the first; versions do not count. */
export function configDifferences(was: RunConfig, requested: RunConfig): ConfigDifference[] {
  const before = new Map(settingValues(was))
  const after = new Map(settingValues(requested))
  const keys = new Set([...before.keys(), ...after.keys()])
  return [...keys].flatMap(key => {
    const difference = { key, was: before.get(key), asked: after.get(key) }
    return JSON.stringify(difference.was) === JSON.stringify(difference.asked) ? [] : [difference]
  })
}

/** Paths of the settings that do not affect what was computed so far, and how a resumed run may change each. */
const changeable: ReadonlyMap<string, Setting['whenResumed']> = new Map([
  ['dataset.data', 'may differ'],
  ...Object.entries<Setting>(settings).flatMap(([name, setting]) => {
    const { whenResumed } = setting
    return whenResumed ? settingPaths(name, setting).map(path => [path.join('.'), whenResumed] as const) : []
  }),
])

/** Whether a resumed run may change this setting: where its files are, or how many epochs it lasts. */
export function mayChange({ key, was, asked }: ConfigDifference): boolean {
  const allowed = changeable.get(key)
  return allowed === 'may grow' ? Number(asked) > Number(was) : allowed === 'may differ'
}

/**
 * The configuration that a checkpoint belongs to, as text: equal for runs that would compute the same, however many
 * epochs they last and wherever their files lie.
 */
export function configKey(config: RunConfig): string {
  return JSON.stringify(Object.fromEntries(settingValues(config).filter(([key]) => !changeable.has(key))))
}

/** Every setting with its path, `[training.epochs, 30]`; arrays are values. */
function settingValues(config: object, prefix = ''): [string, unknown][] {
  return Object.entries(config).flatMap(([key, value]): [string, unknown][] => {
    if (prefix === '' && key === 'versions') return []
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return [[prefix + key, value]]
    return settingValues(value, `${prefix}${key}.`)
  })
}
