import { join, resolve } from 'node:path'
import * as z from 'zod'
import { createFileAtomic, writeFileAtomic } from '../../../src/files/atomic.js'
import { isMissing, makeFolder, namesIn } from '../../../src/files/folders.js'
import { readTextFile } from '../../../src/files/regular-file.js'
import { dataPath } from '../../terminal/data-path.js'
import { UsageError } from '../../terminal/usage-error.js'
import type { GivenFlags } from '../train-settings.js'

/** What the runs of a set differ by. */
export type SetKind = 'seeds' | 'folds'

/** Several runs of the same settings, which differ by their seed or by the fold that they validate on. */
export interface RunSet {
  readonly directory: string
  readonly kind: SetKind
  readonly count: number
  /** The flags that all runs share. */
  readonly flags: GivenFlags
}

/** One run of a set. */
export interface SetMember {
  /** Folder within that of the set: `seed-3`, `fold-1`. */
  readonly name: string
  readonly directory: string
  /** The flags of this run. */
  readonly flags: GivenFlags
}

const SET = 'runs.json'
const most = 1000
const setSchema = z.strictObject({
  kind: z.enum(['seeds', 'folds']),
  count: z.int().min(2).max(most),
  flags: z.record(z.string(), z.unknown()),
})

/** Flags that are not settings of the runs, besides those of jobs. */
const ownFlags = ['seeds', 'folds', 'out', 'resume', 'force', 'json', 'share', 'cache']

/**
 * The set that flags ask for; undefined where they ask for one run.
 *
 * @throws UsageError when both kinds are asked for, a number is none, or folds come with a validation part
 */
export function askedSet(directory: string, given: GivenFlags): RunSet | undefined {
  const { seeds, folds, validation } = given
  if (seeds !== undefined && folds !== undefined) {
    throw new UsageError('train: --seeds and --folds must not be given together')
  }
  const kind = seeds === undefined ? 'folds' : 'seeds'
  const count = given[kind]
  if (count === undefined) return undefined
  if (typeof count !== 'number' || !Number.isInteger(count) || count < 2 || count > most) {
    throw new UsageError(`train: --${kind} must be an integer in [2, ${most}], got ${count}`)
  }
  if (kind === 'folds' && validation !== undefined) {
    throw new UsageError(`train: --folds must come without --validation, got ${count} and ${validation}`)
  }
  return { directory, kind, count, flags: runFlags(given) }
}

/** The flags that the runs of a set share, with paths that hold from any working directory. */
function runFlags(given: GivenFlags): GivenFlags {
  const flags = Object.entries(given).filter(
    ([name, value]) => !ownFlags.includes(name) && !name.startsWith('cluster') && value !== undefined,
  )
  return Object.fromEntries(
    flags.map(([name, value]) =>
      (name === 'data' || name === 'init') && typeof value === 'string'
        ? [name, name === 'data' ? dataPath(value) : resolve(value)]
        : [name, value],
    ),
  )
}

/** The runs of a set: seeds count on from the one that is given, or 1; folds share it. */
export function membersOf({ directory, kind, count, flags }: RunSet): SetMember[] {
  const first = typeof flags.seed === 'number' ? flags.seed : 1
  return Array.from({ length: count }, (_, i) => {
    const name = kind === 'seeds' ? `seed-${first + i}` : `fold-${i + 1}`
    const own = kind === 'seeds' ? { seed: first + i } : { validation: `${i + 1}/${count}` }
    return {
      name,
      directory: join(directory, name),
      flags: { ...sharedFeatures(directory, flags), ...flags, ...own },
    }
  })
}

/** Runs with the same frozen layers and images compute the features of these once. */
function sharedFeatures(directory: string, flags: GivenFlags): GivenFlags {
  const { freeze, freezeUntil, trainOnly, featureCache } = flags
  const isFrozen = [freeze, freezeUntil, trainOnly].some(given => given !== undefined)
  return isFrozen && featureCache !== false ? { featureFolder: resolve(directory, 'features') } : {}
}

/**
 * Reads the set that a folder holds; undefined where there is none.
 *
 * @throws Error naming the file that is damaged
 */
export async function storedSet(directory: string): Promise<RunSet | undefined> {
  const path = join(directory, SET)
  const text = await readTextFile(path).catch((error: unknown) => {
    if (isMissing(error) || (error as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined
    throw error
  })
  if (text === undefined) return undefined
  try {
    return { directory, ...setSchema.parse(JSON.parse(text)) }
  } catch (cause) {
    const why = cause instanceof z.ZodError ? z.prettifyError(cause) : (cause as Error).message
    throw new Error(`${path}: must be a set of runs, got ${why}`, { cause })
  }
}

/** Writes which runs a set has, in its folder, whole or not at all. */
export async function storeSet(set: RunSet): Promise<void> {
  await makeFolder(set.directory)
  await writeFileAtomic(join(set.directory, SET), setText(set))
}

/**
 * Writes which runs a set has where its folder holds none: of several tasks that do so at the same time one does.
 *
 * @returns whether it was written
 */
export async function createSet(set: RunSet): Promise<boolean> {
  await makeFolder(set.directory)
  return createFileAtomic(join(set.directory, SET), setText(set))
}

function setText({ kind, count, flags }: RunSet): string {
  return `${JSON.stringify({ kind, count, flags }, null, 2)}\n`
}

/**
 * Checks that a new set can have its folder.
 *
 * @throws Error when it holds something; UsageError where this is to be replaced, since many runs could be lost
 */
export async function checkSetPlace(
  { directory, kind }: RunSet,
  { force }: { readonly force: boolean },
): Promise<void> {
  if (force) {
    throw new UsageError(
      `train: --force must be left out with --${kind}, got both (remove ${directory}, or name another folder)`,
    )
  }
  const entries = await namesIn(directory)
  if (entries.length === 0) return
  const content = entries.includes(SET)
    ? 'a set of runs (continue it with --resume)'
    : `a folder with ${entries.slice(0, 3).join(', ')}`
  throw new Error(`train: ${directory} must be new or empty for a set of runs, got ${content}`)
}

/**
 * Checks that a set goes on as it began: flags may repeat its own, and change nothing.
 *
 * @throws UsageError naming what differs
 */
export function checkSameSet(stored: RunSet, given: GivenFlags): void {
  const before: GivenFlags = { ...stored.flags, [stored.kind]: stored.count }
  const asked: GivenFlags = { ...runFlags(given), seeds: given.seeds, folds: given.folds }
  const changed = Object.entries(asked).filter(
    ([name, value]) => value !== undefined && JSON.stringify(value) !== JSON.stringify(before[name]),
  )
  if (changed.length === 0) return
  const list = changed.map(
    ([name, value]) =>
      `${name} is ${JSON.stringify(before[name]) ?? 'not set'}, asked for ${JSON.stringify(value)}`,
  )
  throw new UsageError(
    `train: --resume must keep the settings of ${stored.directory}, got changed ones: ${list.join('; ')}`,
  )
}
