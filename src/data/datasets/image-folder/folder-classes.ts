import type { DataSource } from '../../data-source.js'
import { findLayout, halfOf, listed } from './folder-halves.js'
import { folderContent, joined, listFolders } from './image-listing.js'

/** The classes of a half, in the order of their names' UTF-16 code units. */
export interface FolderClasses {
  /** The folder that holds them. */
  readonly half: string
  /** Their names, composed as Unicode has it (NFC). */
  readonly names: readonly string[]
  /** Their folders, named as they are on the disk. */
  readonly folders: readonly string[]
  /** What people should know of them, a sentence each. */
  readonly notes: readonly string[]
}

/**
 * Whether a source holds folders of images, at least two. Looks into the folders of the classes, not into the folders
 * in these: a home directory would take for ever.
 */
export async function hasImageFolders(source: DataSource): Promise<boolean> {
  // Halves that cannot be told apart, or not be read, are reported by the dataset when it is opened.
  const layout = await findLayout(source).catch(() => undefined)
  const half = layout?.halves.train ?? ''
  const classes = await listFolders(source, half).catch((): string[] => [])
  let withImages = 0
  for (const name of classes) {
    const content = await folderContent(source, joined(half, name)).catch(() => undefined)
    if (!content || content.images.length > 0) withImages++
    if (withImages === 2) return true
  }
  return layout === undefined && classes.some(name => halfOf(name) !== undefined)
}

/**
 * Finds the classes of a half: one for each folder.
 *
 * @throws Error when there are fewer than 2, they are halves by their names or hold halves, or the names of two of them
 *   look the same
 */
export async function findClasses(source: DataSource, half: string): Promise<FolderClasses> {
  const folders = [...(await listFolders(source, half))].sort()
  const where = source.describe(half)
  if (folders.length < 2) {
    const got = folders.length === 0 ? 'none' : `only ${JSON.stringify(folders[0])}`
    throw new Error(`${where}: folder must hold a folder for each of 2 or more classes, got ${got}`)
  }
  if (folders.every(name => halfOf(name) !== undefined)) {
    throw new Error(
      `${where}: folders must be classes, got ${slashed(folders)} (names of halves, not of classes)`,
    )
  }
  for (const name of folders) await refuseHalvesIn(source, joined(half, name))
  const pairs = folders.map(folder => ({ folder, name: folder.normalize('NFC') }))
  pairs.sort((a, b) => (a.name < b.name ? -1 : 1))
  const twin = pairs.findIndex(({ name }, i) => name === pairs[i + 1]?.name)
  if (twin >= 0) {
    throw new Error(
      `${where}: classes must have different names, got ${JSON.stringify(pairs[twin]?.name)} twice: its letters are ` +
        'composed in one folder and decomposed in the other (join the two folders)',
    )
  }
  const names = pairs.map(({ name }) => name)
  return { half, names, folders: pairs.map(({ folder }) => folder), notes: caseNotes(names) }
}

/**
 * Refuses a class that holds halves: classes and halves are swapped (`cat/train/`), or the folder named by the user is
 * one level too high (`images/train/`).
 */
async function refuseHalvesIn(source: DataSource, path: string): Promise<void> {
  const { folders, images } = await folderContent(source, path)
  if (images.length > 0 || !folders.some(name => halfOf(name) === 'train')) return
  if (!folders.every(name => halfOf(name) !== undefined)) return
  throw new Error(
    `${source.describe(path)}: class must not hold halves, got ${slashed(folders)} ` +
      '(name the folder that holds the halves, with the classes in them: train/cat)',
  )
}

/** Which folders hold which classes. */
export interface MatchedClasses {
  /** The folder of each class that has one, by the number of the class. */
  readonly matches: ReadonlyMap<number, string>
  /** Folders that are no class. */
  readonly others: readonly string[]
  /** A sentence where names differ. */
  readonly notes: readonly string[]
}

/**
 * Finds the folders of classes by their names, which may differ in case and in how letters are composed where it is clear
 * which is meant.
 *
 * @param names of the classes
 * @param ownFolders the folder that each class is known to have, which is preferred
 * @param where the path of the folders and a slash, for notes
 */
export function matchedClasses(
  folders: readonly string[],
  names: readonly string[],
  { ownFolders = [], where = '' }: { readonly ownFolders?: readonly string[]; readonly where?: string } = {},
): MatchedClasses {
  const unmatched = new Set(folders)
  const matches = new Map<number, string>()
  const match = (label: number, folder: string | undefined) => {
    if (folder === undefined) return
    matches.set(label, folder)
    unmatched.delete(folder)
  }
  const composed = grouped(folders, folder => folder.normalize('NFC'))
  for (const [label, name] of names.entries()) {
    const exact = composed.get(name.normalize('NFC')) ?? []
    match(
      label,
      [ownFolders[label], name, ...exact].find(folder => unmatched.has(folder ?? '')),
    )
  }
  const renamed: string[] = []
  const inAnyCase = grouped([...unmatched], folded)
  for (const [label, name] of names.entries()) {
    if (matches.has(label)) continue
    const alike = (inAnyCase.get(folded(name)) ?? []).filter(folder => unmatched.has(folder))
    if (alike.length !== 1) continue
    match(label, alike[0])
    renamed.push(`${where}${alike[0]} as ${name}`)
  }
  const notes = renamed.length > 0 ? [`Names of classes that differ in case only: ${listed(renamed)}.`] : []
  return { matches, others: [...unmatched], notes }
}

/**
 * The folders of a half that hold the classes of another one, in their order.
 *
 * @param notes gets a sentence where names differ, see {@link matchedClasses}
 * @throws Error naming the classes that are in one of the halves only
 */
export async function sameClasses(
  source: DataSource,
  half: string,
  { half: first, names, folders }: FolderClasses,
  notes: string[],
): Promise<readonly string[]> {
  const found = await listFolders(source, half)
  const matched = matchedClasses(found, names, { ownFolders: folders, where: `${half}/` })
  notes.push(...matched.notes)
  const inOneOnly = [...matched.others, ...names.filter((_, label) => !matched.matches.has(label))]
  if (inOneOnly.length === 0) return names.map((_, label) => matched.matches.get(label) as string)
  throw new Error(
    `${source.describe(half)}: classes must be those of ${source.describe(first)}, ` +
      `got ${inOneOnly.map(name => JSON.stringify(name)).join(', ')} in one of them only`,
  )
}

function caseNotes(names: readonly string[]): string[] {
  const nameByFolded = new Map<string, string>()
  const alike: string[] = []
  for (const name of names) {
    const other = nameByFolded.get(folded(name))
    if (other !== undefined) alike.push(`${other} and ${name}`)
    nameByFolded.set(folded(name), name)
  }
  return alike.length > 0
    ? [`Read as different classes, though only the case differs: ${listed(alike)}.`]
    : []
}

function grouped(names: readonly string[], keyOf: (name: string) => string): Map<string, string[]> {
  const groups = new Map<string, string[]>()
  for (const name of names) groups.set(keyOf(name), [...(groups.get(keyOf(name)) ?? []), name])
  return groups
}

function folded(name: string): string {
  return name.normalize('NFC').toLowerCase()
}

function slashed(names: readonly string[]): string {
  return listed(names.map(name => `${name}/`))
}
