/**
 * Finds the files of an IDX dataset under the names and in the folders that they are distributed in:
 * `train-images-idx3-ubyte` and `train-images.idx3-ubyte`, plain or `.gz`; `t10k` or `test`; with the name of a set in
 * front (`emnist-letters-train-images-idx3-ubyte`); in folders (`MNIST/raw`), also in one of the file's own name.
 */
import type { DataSource } from '../data-source.js'
import { type ListedFolder, listedFolders } from './file-search.js'
import { unreadFilesIn } from './unread-files.js'

/** The halves of an IDX dataset. */
export type IdxHalf = 'train' | 't10k'

/** Paths of the two files of a half, relative to the source. */
export interface IdxFiles {
  readonly images: string
  readonly labels: string
}

type Kind = keyof IdxFiles

/** Files that belong together: of one folder, with the same name of a set in front. */
interface IdxSet {
  /** The folder, and the name in front: `EMNIST/raw/emnist-letters`. */
  readonly name: string
  /** What stands in front of the usual names: `emnist-letters-`. */
  readonly prefix: string
  readonly folder: string
  readonly depth: number
  /** The preferred path for each half and kind. */
  readonly paths: Map<`${IdxHalf}-${Kind}`, string>
}

/** 1: name of the set, with what joins it · 2: half · 3: kind · 4: axes */
const idxName = /^(.+?[-_. ])?(train|t10k|test)[-_. ](images|labels)[-_. ]idx([13])[-_. ]ubyte(?:\.gz)?$/i

/**
 * Finds the two files of a half. Where a source has several datasets, the one that lies least deep is taken.
 *
 * @throws Error naming the file that is missing, or the datasets where several lie equally deep
 */
export async function findIdx(source: DataSource, half: IdxHalf): Promise<IdxFiles> {
  const folders = await listedFolders(source)
  const sets = idxSets(folders)
  const halves = sets.filter(set => filesOf(set, half))
  // A set of which both halves are there comes before one that has lost some of its files.
  const complete = halves.filter(set => filesOf(set, 'train') && filesOf(set, 't10k'))
  const candidates = complete.length > 0 ? complete : halves
  const leastDepth = Math.min(...candidates.map(({ depth }) => depth))
  const [set, ...others] = candidates.filter(({ depth }) => depth === leastDepth)
  if (!set) throw missingFile(source, half, sets, folders)
  if (others.length > 0) {
    const names = [set, ...others].map(({ name }) => name).sort()
    throw new Error(
      `${source.describe('')}: folder must hold one IDX dataset, got ${names.join(', ')} ` +
        '(name the folder of one of them, or give its four files a folder of their own)',
    )
  }
  return filesOf(set, half) as IdxFiles
}

/** Whether a source holds the four files of at least one IDX dataset; looks at names alone. */
export async function hasIdx(source: DataSource): Promise<boolean> {
  return idxSets(await listedFolders(source)).some(set => filesOf(set, 'train') && filesOf(set, 't10k'))
}

function filesOf({ paths }: IdxSet, half: IdxHalf): IdxFiles | undefined {
  const images = paths.get(`${half}-images`)
  const labels = paths.get(`${half}-labels`)
  return images !== undefined && labels !== undefined ? { images, labels } : undefined
}

function idxSets(folders: readonly ListedFolder[]): IdxSet[] {
  const sets = new Map<string, IdxSet>()
  for (const { path, names, depth } of folders) {
    // Some archives hold each file in a folder of its own name: the files then belong to the folder above.
    const isOwnFolder = idxName.test(path.split('/').at(-2) ?? '')
    const folder = isOwnFolder ? path.replace(/[^/]+\/$/, '') : path
    for (const file of [...names].sort(byPreference)) {
      const [, prefix = '', part = '', kind = '', axes] = idxName.exec(file) ?? []
      if (part === '' || axes !== (kind.toLowerCase() === 'images' ? '3' : '1')) continue
      const name = (folder + prefix).replace(/[-_. /]$/, '') || '.'
      const existing = sets.get(folder + prefix.toLowerCase())
      const set = existing ?? {
        name,
        prefix,
        folder,
        depth: isOwnFolder ? depth - 1 : depth,
        paths: new Map(),
      }
      sets.set(folder + prefix.toLowerCase(), set)
      const half = part.toLowerCase() === 'train' ? 'train' : 't10k'
      const key = `${half}-${kind.toLowerCase() as Kind}` as const
      if (!set.paths.has(key)) set.paths.set(key, path + file)
    }
  }
  return [...sets.values()]
}

/** Where a file exists under several names, plain ones come before compressed ones, `t10k` before `test`. */
function byPreference(a: string, b: string): number {
  const rank = (name: string) => (/\.gz$/i.test(name) ? 2 : 0) + (/test[-_. ]/i.test(name) ? 1 : 0)
  return rank(a) - rank(b) || (a < b ? -1 : 1)
}

function missingFile(
  source: DataSource,
  half: IdxHalf,
  sets: readonly IdxSet[],
  folders: readonly ListedFolder[],
): Error {
  const usual = { images: `${half}-images-idx3-ubyte`, labels: `${half}-labels-idx1-ubyte` }
  const [set] = [...sets].sort((a, b) => b.paths.size - a.paths.size || a.depth - b.depth)
  const kind = set?.paths.has(`${half}-images`) ? 'labels' : 'images'
  const path = (set ? set.folder + set.prefix : '') + usual[kind]
  const context = set ? `found ${[...set.paths.values()].sort().join(', ')}` : unreadFilesIn(folders, source)
  return new Error(
    `${source.describe(path)}: file must be there, plain or .gz, got neither${context && ` (${context})`}`,
  )
}
