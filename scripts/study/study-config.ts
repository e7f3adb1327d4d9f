import * as z from 'zod'
import { parseConfigJson } from '../../src/run/run-config.js'
import { settings } from '../../src/run/settings.js'
import { scaleNames } from '../experiments/experiment.js'
import { experimentNamed } from '../experiments/experiments.js'
import type { Cell } from './cell.js'
import { cellsOf } from './cells.js'
import { type Grid, gridKind, gridKinds, type KindName } from './grids/grids.js'

const versions = z.strictObject({
  patchMoe: z.string(),
  tfjs: z.string(),
  node: z.string(),
  tensorflow: z.string().exactOptional(),
})

const MOST_CELLS = 100_000
const MOST_SEEDS = 10_000

/** Only the schema of its own kind is applied to a grid, so that what is wrong is said in its terms. */
const gridSchema = z
  .looseObject({ kind: z.enum(Object.keys(gridKinds) as KindName[]) })
  .transform((grid, context) => {
    const result = gridKind(grid.kind).schema.safeParse(grid)
    if (result.success) return grid
    for (const { path, message } of result.error.issues)
      context.addIssue({ code: 'custom', path: [...path], message })
    return z.NEVER
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
  /** Folder of a pretrained network, for a study that takes one. */
  network: z.string().min(1).exactOptional(),
  /** All seeds train on the images of seed 1. */
  sharedSubset: z.boolean(),
  backend: settings.backend.in.run.schema,
  /** The grid of the experiment when the study began. */
  grid: gridSchema,
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
  readonly network?: string
  readonly sharedSubset?: boolean
}

/**
 * The configuration of a new study.
 *
 * @throws RangeError for an unknown experiment, or more cells than a study may have
 */
export function studyConfig(
  { experiment: name, scale = 'full', seeds, data, standIn, network, sharedSubset = false }: StudyRequest,
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
    ...(network !== undefined && { network }),
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
  return gridKind(experiment.kind).gridOf(experiment, scale, withPaperData)
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
  return seeds * gridKind(grid.kind).mostSettings(grid)
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
