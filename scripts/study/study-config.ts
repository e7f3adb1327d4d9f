import * as z from 'zod'
import { modelNames } from '../../src/models/recipes.js'
import { parseConfigJson } from '../../src/run/run-config.js'
import { modelsOf } from '../../src/run/setting.js'
import { settings } from '../../src/run/settings.js'
import { scaleNames } from '../experiments/experiment.js'
import { experimentNamed } from '../experiments/experiments.js'
import { trainSettings } from '../run/train-settings.js'
import { type Cell, cellsOf, type Grid, trainingGrid } from './cells.js'

const versions = z.strictObject({
  patchMoe: z.string(),
  tfjs: z.string(),
  node: z.string(),
  tensorflow: z.string().exactOptional(),
})

const MOST_CELLS = 100_000
const MOST_SEEDS = 10_000

const count = z
  .int()
  .min(1)
  .max(2 ** 31 - 1)
const sweep = z.array(count).min(1)
const flagNames: ReadonlySet<string> = new Set(
  trainSettings
    .filter(({ setting }) => modelsOf(setting).length > 0)
    .map(({ option }) => option.attributeName()),
)
const flagName = z.string().refine(name => flagNames.has(name), 'must be a flag of pmoe train')
const flags = z.record(flagName, z.union([z.string(), z.number(), z.boolean(), z.array(z.number())]))
const share = z.number().min(0).max(1)

const variant = z.strictObject({
  name: z.string().min(1),
  model: z.enum(modelNames),
  flags,
  mixture: z
    .strictObject({
      preActivation: settings.preActivation.value.schema.exactOptional(),
      routerTrainable: settings.routerTrainable.value.schema.exactOptional(),
    })
    .exactOptional(),
  routerDeviation: z.number().positive().exactOptional(),
  sweeps: z.boolean().exactOptional(),
  published: z.array(z.strictObject({ samples: count, accuracy: share })).exactOptional(),
})

const trainingGridSchema = z.strictObject({
  kind: z.literal('training'),
  variants: z
    .array(variant)
    .min(1)
    .refine(of => new Set(of.map(({ name }) => name)).size === of.length, 'names must differ'),
  samples: sweep,
  patchesPerExpert: sweep.exactOptional(),
  experts: sweep.exactOptional(),
  flags,
})

const costGridSchema = z.strictObject({
  kind: z.literal('cost'),
  axes: z.array(z.looseObject({ letter: z.enum(['l', 'k', 'n']), values: sweep })).min(1),
  batch: count,
  patchSide: count,
  hiddenUnits: count,
  base: z.strictObject({ l: count, k: count, n: count }),
  rounds: count,
})

/** What `study.json` must hold. */
const schema = z.strictObject({
  experiment: z.string().min(1),
  scale: z.enum(scaleNames),
  seeds: z.int().min(1).max(MOST_SEEDS),
  /** Folder of the paper's own data; null for a stand-in. */
  data: z.string().min(1).nullable(),
  /** Folder of the stand-in; null for the samples of the package. */
  standIn: z.string().min(1).nullable(),
  /** All seeds train on the images of seed 1. */
  sharedSubset: z.boolean(),
  backend: settings.backend.in.run.schema,
  /** The grid of the experiment when the study began. */
  grid: z.discriminatedUnion('kind', [trainingGridSchema, costGridSchema]),
  versions,
})

/** Everything that decides the numbers of a study. */
export interface StudyConfig extends Readonly<Omit<z.infer<typeof schema>, 'grid'>> {
  readonly grid: Grid
}

/** One setting in which a study differs from the requested one. */
export interface StudyDifference {
  /** Path of the setting, `grid.flags.epochs`. */
  readonly key: string
  readonly was: unknown
  readonly asked: unknown
}

/** The requested settings of a study; those left out come from the experiment. */
export interface StudyRequest {
  readonly experiment: string
  readonly scale?: StudyConfig['scale']
  readonly seeds?: number
  readonly data?: string
  readonly standIn?: string
  readonly sharedSubset?: boolean
}

/**
 * The configuration of a new study.
 *
 * @throws RangeError for an unknown experiment, or more cells than a study may have
 */
export function studyConfig(
  { experiment: name, scale = 'full', seeds, data, standIn, sharedSubset = false }: StudyRequest,
  backend: StudyConfig['backend'],
  softwareVersions: StudyConfig['versions'],
): StudyConfig {
  const { grid, seeds: defaultSeeds } = gridOf(name, scale, data !== undefined)
  const config: StudyConfig = {
    experiment: experimentNamed(name).name,
    scale,
    seeds: seeds ?? defaultSeeds,
    data: data ?? null,
    standIn: standIn ?? null,
    sharedSubset,
    backend,
    grid,
    versions: softwareVersions,
  }
  refuseTooMany(config, 'study')
  return config
}

/** The grid of an experiment, and how often it is usually repeated. */
export function gridOf(
  name: string,
  scale: StudyConfig['scale'],
  withPaperData: boolean,
): { grid: Grid; seeds: number } {
  const experiment = experimentNamed(name)
  if (experiment.kind === 'cost') {
    const { seeds, ...grid } = experiment.scales[scale]
    return { grid: { kind: 'cost', ...grid }, seeds }
  }
  const chosen = withPaperData && scale === 'full' ? experiment.paperScale : experiment.scales[scale]
  return { grid: trainingGrid(experiment, chosen), seeds: chosen.seeds }
}

/** The cells of a study. */
export function studyCells({ grid, seeds }: StudyConfig): Cell[] {
  return cellsOf(grid, seeds)
}

/**
 * Reads the text of a `study.json`.
 *
 * @throws Error naming the path and what is wrong
 */
export function parseStudyConfig(text: string, path: string): StudyConfig {
  const result = schema.safeParse(parseConfigJson(text, path))
  if (!result.success) {
    const issues = result.error.issues.map(
      issue => `${issue.path.join('.') || 'the whole'}: ${issue.message}`,
    )
    throw new RangeError(`${path}: must be the configuration of a study, got ${issues.join('; ')}`, {
      cause: result.error,
    })
  }
  const config = result.data as unknown as StudyConfig
  refuseTooMany(config, path)
  return config
}

function refuseTooMany(config: StudyConfig, where: string): void {
  const cells = cellCount(config)
  if (cells <= MOST_CELLS) return
  throw new RangeError(
    `${where}: a study must have at most ${MOST_CELLS} cells, got ${cells} (${config.seeds} seeds)`,
  )
}

/** An upper bound of the number of cells, computed without listing them. */
function cellCount({ grid, seeds }: StudyConfig): number {
  if (grid.kind === 'cost') return seeds * grid.axes.reduce((sum, { values }) => sum + values.length, 0)
  const { samples, patchesPerExpert = [0], experts = [0], variants } = grid
  return seeds * samples.length * patchesPerExpert.length * experts.length * variants.length
}

/**
 * The settings in which two configurations differ, but for their versions; more seeds than before are no difference.
 */
export function studyDifferences(was: StudyConfig, asked: StudyConfig): StudyDifference[] {
  const before = new Map(settingValues(was))
  const after = new Map(settingValues(asked))
  return [...new Set([...before.keys(), ...after.keys()])].flatMap(key => {
    const difference = { key, was: before.get(key), asked: after.get(key) }
    if (key === 'seeds' && asked.seeds >= was.seeds) return []
    return JSON.stringify(difference.was) === JSON.stringify(difference.asked) ? [] : [difference]
  })
}

/** Every setting with its path; variants by their names, other arrays as values. */
function settingValues(value: object, prefix = ''): [string, unknown][] {
  return Object.entries(value).flatMap(([key, inner]): [string, unknown][] => {
    const path = prefix + key
    if (path === 'versions') return []
    if (path === 'grid.variants') {
      const byName = Object.fromEntries((inner as { name: string }[]).map(variant => [variant.name, variant]))
      return settingValues(byName, `${path}.`)
    }
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return [[path, inner]]
    return settingValues(inner, `${path}.`)
  })
}
