import { readFile, stat } from 'node:fs/promises'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { listImages } from '../../src/data/datasets/image-folder/image-listing.js'
import { LeftOut } from '../../src/data/datasets/image-folder/left-out.js'
import type { UnreadableImage } from '../../src/data/unreadable-images.js'
import { dataFolder } from '../../src/files/data-folder.js'

/** The image files that a person names. */
export interface NamedImages {
  readonly paths: readonly string[]
  /** Paths that do not exist, or folders without images. */
  readonly unreadable: readonly UnreadableImage[]
  /** What was left out of the folders, a sentence each. */
  readonly notes: readonly string[]
}

/**
 * Finds the image files that a person names: files as they are, and those in the folders named, at any depth, in the
 * order of their names. A folder of the tiles of an IIIF image is that one image, by its `info.json`.
 */
export async function namedImages(named: readonly string[]): Promise<NamedImages> {
  const paths: string[] = []
  const unreadable: UnreadableImage[] = []
  const notes: string[] = []
  for (const path of named) {
    try {
      if (!(await isFolder(path))) paths.push(path)
      else if (await holdsTiles(path)) paths.push(join(path, 'info.json'))
      else {
        const inside = await imagesIn(path)
        for (const image of inside.paths) paths.push(image)
        notes.push(...inside.notes)
      }
    } catch (error) {
      unreadable.push({ name: path, reason: (error as Error).message })
    }
  }
  return { paths, unreadable, notes }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    const reason = code === 'ENOENT' || code === 'ENOTDIR' ? 'nothing there' : message
    throw new Error(`${path}: image must be readable, got ${reason}`, { cause })
  }
}

/** Whether a folder says of itself that it holds the tiles of one image. */
async function holdsTiles(folder: string): Promise<boolean> {
  const about = await readFile(join(folder, 'info.json'), 'utf8').catch(() => '')
  return about.includes('http://iiif.io/api/image')
}

async function imagesIn(folder: string): Promise<{ paths: string[]; notes: string[] }> {
  const source = dataFolder(folder)
  const listing = await listImages(source, '')
  const { paths, ignored } = listing
  const leftOut = new LeftOut(source)
  leftOut.add(listing)
  if (paths.length > 0) return { paths: paths.map(path => join(folder, path)), notes: leftOut.notes }
  const notes = leftOut.notes.map(note => `. ${note.replace(/\.$/, '')}`).join('')
  throw new Error(`${folder}: folder must hold image files, got none among ${ignored} files${notes}`)
}

/**
 * Names for the output of each image: the name of its file without the ending, preceded by as many of the folders
 * above, and followed by the ending, as are needed for unique names: `cat/1.png` and `dog/1.png` become `cat-1` and `dog-1`.
 *
 * @param taken names that must not be used
 */
export function outputNames(paths: readonly string[], taken: readonly string[] = []): string[] {
  const levels = paths.map(() => 0)
  const maxLevels = Math.max(1, ...paths.map(path => resolve(path).split(/[\\/]/).length)) + 1
  for (let round = 0; round < maxLevels; round++) {
    const owners = ownersOf(paths.map((path, i) => nameAt(path, levels[i] as number)))
    const shared = [...owners].filter(([name, indices]) => indices.length > 1 || taken.includes(name))
    if (shared.length === 0) break
    for (const i of shared.flatMap(([, indices]) => indices)) levels[i] = (levels[i] as number) + 1
  }
  return numbered(
    paths.map((path, i) => nameAt(path, levels[i] as number)),
    taken,
  )
}

/** Level 0: the name; 1: with its folder; 2: and with its ending; from 3 on: with more of the folders above. */
function nameAt(path: string, level: number): string {
  const full = resolve(path)
  const ending = extname(full)
  const stem = basename(full, ending)
  if (level === 0) return stem
  const folders = dirname(full)
    .split(/[\\/]/)
    .filter(folder => folder !== '')
  const above = folders.slice(-Math.max(1, level - 1))
  return [...above, stem, ...(level >= 2 && ending !== '' ? [ending.slice(1)] : [])].join('-')
}

/** Images by the names they would have; case and Unicode composition are ignored, as some disks do. */
function ownersOf(names: readonly string[]): Map<string, number[]> {
  const owners = new Map<string, number[]>()
  for (const [i, name] of names.entries()) {
    const key = folded(name)
    owners.set(key, [...(owners.get(key) ?? []), i])
  }
  return owners
}

/** Adds numbers to names that occur twice, as those of an image that is given twice. */
function numbered(names: readonly string[], taken: readonly string[]): string[] {
  const used = new Set(taken)
  return names.map(name => {
    let free = name
    for (let number = 2; used.has(folded(free)); number++) free = `${name}-${number}`
    used.add(folded(free))
    return free
  })
}

function folded(name: string): string {
  return name.normalize('NFC').toLowerCase()
}
