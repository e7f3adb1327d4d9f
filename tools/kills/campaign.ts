import { createHash } from 'node:crypto'
import { cp, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { killedAt } from './kill-points.js'

/** A command that is killed at every operation by which it changes the disk. */
export interface Scenario {
  readonly name: string
  /** Fills a folder with what exists before the command. */
  before(root: string): Promise<void>
  /** The command; it works below `root` alone. */
  command(root: string): Promise<void>
  /** What a person does after a kill where the command is refused with the advice to use --resume. */
  again?(root: string): Promise<void>
  /**
   * Checks, after a kill, that the old result or the new one can be used.
   *
   * @throws when neither can
   */
  usable?(root: string): Promise<void>
}

/** What came of a scenario. */
export interface Tally {
  readonly name: string
  /** Operations at which it was killed. */
  readonly kills: number
  /** Kills after which neither the old result nor the new one was whole. */
  readonly lost: readonly string[]
  /** Kills after which the command did not succeed when it was called again. */
  readonly stuck: readonly string[]
  /** Kills after which the files in the end are not those that an undisturbed command leaves. */
  readonly litter: readonly string[]
}

/**
 * Kills a command at every operation, calls it again each time, and counts what went wrong.
 *
 * @param every kills at every so many operations only
 */
export async function campaign(scenario: Scenario, every = 1): Promise<Tally> {
  const base = await mkdtemp(join(tmpdir(), 'pmoe-kills-'))
  const [before, root] = [join(base, 'before'), join(base, 'root')]
  const begin = async () => {
    await rm(root, { recursive: true, force: true })
    await cp(before, root, { recursive: true })
  }
  const lost: string[] = []
  const stuck: string[] = []
  const litter: string[] = []
  let kills = 0
  try {
    await cp(await emptyFolder(base), before, { recursive: true })
    await scenario.before(before)
    await begin()
    const undisturbed = await killedAt(root, 0, () => scenario.command(root))
    const points = undisturbed.killed ? 0 : undisturbed.points
    const expected = await filesOf(root)
    for (let at = 1; at <= points; at += every) {
      await begin()
      const ending = await killedAt(root, at, () => scenario.command(root))
      if (!ending.killed) break
      kills++
      const note = (error: unknown) => `kill ${at} of ${points}: ${(error as Error).message}`
      await scenario.usable?.(root).catch(error => lost.push(note(error)))
      await calledAgain(scenario, root).catch(error => stuck.push(note(error)))
      const files = await filesOf(root)
      const differing = [...differences(files, expected)]
      if (differing.length > 0) litter.push(`kill ${at} of ${points}: ${differing.join(', ')}`)
    }
    return { name: scenario.name, kills, lost, stuck, litter }
  } finally {
    await rm(base, { recursive: true, force: true })
  }
}

async function emptyFolder(base: string): Promise<string> {
  return mkdtemp(join(base, 'empty-'))
}

async function calledAgain(scenario: Scenario, root: string): Promise<void> {
  try {
    await scenario.command(root)
  } catch (error) {
    if (!scenario.again || !/--resume/.test((error as Error).message)) throw error
    await scenario.again(root)
  }
}

function* differences(files: ReadonlySet<string>, expected: ReadonlySet<string>): Generator<string> {
  for (const file of files) if (!expected.has(file)) yield `left ${file}`
  for (const file of expected) if (!files.has(file)) yield `missing ${file}`
}

/** The files and folders below a folder. */
async function filesOf(root: string): Promise<Set<string>> {
  return new Set(await readdir(root, { recursive: true }))
}

/** The bytes of all files below a folder, digested. */
export async function digests(root: string): Promise<ReadonlyMap<string, string>> {
  const digestByPath = new Map<string, string>()
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    digestByPath.set(
      relative(root, path),
      createHash('sha256')
        .update(await readFile(path))
        .digest('hex'),
    )
  }
  return digestByPath
}

/** Whether a path exists. */
export async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
