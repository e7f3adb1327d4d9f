import type { DataSource } from '../data-source.js'

/** A folder of a source, and what is directly in it. */
export interface ListedFolder {
  /** Relative to the source, ending in `/`; empty for the source itself. */
  readonly path: string
  /** How many folders it lies below the source. */
  readonly depth: number
  /** As {@link DataSource.list} gives them: names of folders end in `/`. */
  readonly names: readonly string[]
}

/** Deep enough for `MNIST/raw/train-images-idx3-ubyte/train-images-idx3-ubyte`. */
const deepest = 3
/** Without a limit, listing a home directory would take for ever. */
const mostFolders = 200

/**
 * Lists a source folder by folder, the least deep first: at most 3 folders deep and 200 in all. Hidden folders and
 * those that cannot be read are left out.
 *
 * @throws Error naming the source when it cannot be read
 */
export async function listedFolders(source: DataSource): Promise<readonly ListedFolder[]> {
  const listed: ListedFolder[] = [{ path: '', depth: 0, names: await source.list('') }]
  for (const { path, depth, names } of listed) {
    if (depth === deepest) break
    for (const name of names) {
      if (!name.endsWith('/') || name.startsWith('.') || name === '__MACOSX/') continue
      if (listed.length === mostFolders) return listed
      const inner = path + name
      const innerNames = await source.list(inner.slice(0, -1)).catch(() => undefined)
      if (innerNames) listed.push({ path: inner, depth: depth + 1, names: innerNames })
    }
  }
  return listed
}
