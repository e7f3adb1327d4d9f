import type { DataSource } from '../data-source.js'

/** Files that together hold one sequence of records: `train-00000-of-00010`, `train-00001-of-00010`, ... */
export interface ShardSet {
  /** What stands before the number: `cifar10-train.tfrecord`. */
  readonly stem: string
  /** Their paths, in the order of their numbers. */
  readonly paths: readonly string[]
}

/** Shards are numbered with five digits, as TensorFlow does. */
const shardName = /^(.+)-(\d{5})-of-(\d{5})(\.[\w.]+)?$/

/**
 * The name of one of several files: `train-00003-of-00010.tfrecord`.
 *
 * @param number from 0
 */
export function shardFile(stem: string, number: number, count: number, extension = ''): string {
  return `${stem}-${String(number).padStart(5, '0')}-of-${String(count).padStart(5, '0')}${extension}`
}

/**
 * The files of records in a folder, by their shards; a file without a number is a set of its own. Only files whose
 * names contain `.tfrecord` count.
 *
 * @param folder relative to the source; an empty path is the source itself
 * @throws Error naming the shards that are missing, or shards that state different numbers of shards
 */
export async function recordShards(source: DataSource, folder = ''): Promise<ShardSet[]> {
  const prefix = folder === '' ? '' : `${folder.replace(/\/$/, '')}/`
  const names = (await source.list(folder)).filter(name => name.includes('.tfrecord') && !name.endsWith('/'))
  const sets = new Map<string, { counts: Set<number>; found: Map<number, string> }>()
  const alone: ShardSet[] = []
  for (const name of names) {
    // Files that are being written, and hidden ones, are not data.
    if (name.startsWith('.')) continue
    const [, stem, number, count, extension = ''] = shardName.exec(name) ?? []
    if (stem === undefined) {
      alone.push({ stem: name, paths: [prefix + name] })
      continue
    }
    const key = stem + extension
    const set = sets.get(key) ?? { counts: new Set(), found: new Map() }
    sets.set(key, set)
    set.counts.add(Number(count))
    set.found.set(Number(number), prefix + name)
  }
  const sharded = [...sets].map(([stem, { counts, found }]) => {
    return { stem, paths: wholeSet(`${source.describe(folder)}: ${stem}`, counts, found) }
  })
  return [...alone, ...sharded].sort((a, b) => (a.stem < b.stem ? -1 : 1))
}

function wholeSet(
  where: string,
  counts: ReadonlySet<number>,
  pathOfNumber: ReadonlyMap<number, string>,
): string[] {
  const [count = 0, ...others] = counts
  if (others.length > 0) {
    const all = [...counts].sort((a, b) => a - b)
    throw new Error(`${where} must be of one number of shards, got shards of ${all.join(' and of ')}`)
  }
  const paths = Array.from({ length: count }, (_, number) => pathOfNumber.get(number))
  const missing = paths.flatMap((path, number) => (path === undefined ? [number] : []))
  const beyond = [...pathOfNumber.keys()].filter(number => number >= count)
  if (beyond.length > 0) {
    throw new Error(`${where} must number its ${count} shards from 0, got a shard ${Math.max(...beyond)}`)
  }
  if (missing.length > 0) {
    const firstMissing = missing.slice(0, 5).map(number => shardFile('', number, count).slice(1))
    const more = missing.length > 5 ? ` and ${missing.length - 5} more` : ''
    throw new Error(
      `${where} must have all of its ${count} shards, got ${pathOfNumber.size} (missing ${firstMissing.join(', ')}${more})`,
    )
  }
  return paths as string[]
}
