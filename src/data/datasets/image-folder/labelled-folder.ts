import type { DataSource } from '../../data-source.js'
import type { CatalogHalf } from '../../image-catalog.js'
import type { HalfName } from '../dataset.js'
import { matchedClasses } from './folder-classes.js'
import { counted, halfTitles, halvesByName, listed, lookThrough } from './folder-halves.js'
import { folderContent, joined, listImages } from './image-listing.js'
import { LeftOut } from './left-out.js'

/** The labelled images of a folder that is not the dataset of a run. */
export interface LabelledFolder {
  /** In the order of the classes, then of the paths. */
  readonly images: CatalogHalf
  /** The half that they are of, where the classes lie in halves. */
  readonly half?: HalfName
  /** What was found and what was left out, a sentence each. */
  readonly notes: readonly string[]
}

/** Of the halves of a folder the one whose numbers are reported. */
const preferred: readonly HalfName[] = ['test', 'validation', 'train']

/**
 * The images of a folder that holds a folder for each of some known classes, by name; names may differ in case and in
 * how letters are composed. Folders of other names are left out and named, classes without a folder as well. Where the
 * classes lie in halves, those of the test half are taken.
 *
 * @param classNames of a model, in the order of its outputs
 * @throws Error when there are no such folders, or no images in them
 */
export async function labelledFolder(
  source: DataSource,
  classNames: readonly string[],
): Promise<LabelledFolder> {
  const { root, folders, half, notes } = await classFolders(source, classNames)
  const { matches, others, notes: matchNotes } = matchedClasses(folders, classNames)
  const where = source.describe(root)
  if (matches.size === 0) {
    throw new Error(
      `${where}: folders must have the names of classes, ${listed(classNames)}, got ${listed(others)}`,
    )
  }
  notes.push(...matchNotes)
  if (others.length > 0) {
    notes.push(`Left out, as no class has this name: ${listed(others.map(name => `${name}/`))}.`)
  }
  const leftOut = new LeftOut(source)
  await leftOut.addLinks(root)
  const [paths, labels]: [string[], number[]] = [[], []]
  for (const [label, folder] of [...matches].sort(([a], [b]) => a - b)) {
    const listing = await listImages(source, joined(root, folder))
    leftOut.add(listing)
    for (const path of listing.paths) {
      paths.push(path)
      labels.push(label)
    }
  }
  if (paths.length === 0) {
    throw new Error(
      `${where}: folders of classes must hold images, got none in ${listed([...matches.values()])}`,
    )
  }
  const present = new Set(labels)
  const absent = classNames.filter((_, label) => !present.has(label))
  if (absent.length > 0) notes.push(`There are no images of ${listed(absent)}.`)
  return {
    images: {
      count: paths.length,
      labels: Int32Array.from(labels),
      name: position => source.describe(paths[position] as string),
      path: position => paths[position] as string,
      encoded: position => source.read(paths[position] as string),
    },
    ...(half !== undefined && { half }),
    notes: [...notes, ...leftOut.notes],
  }
}

/** The folders that may be classes, and where they lie. */
interface ClassFolders {
  readonly root: string
  readonly folders: readonly string[]
  readonly half?: HalfName
  readonly notes: string[]
}

async function classFolders(source: DataSource, classNames: readonly string[]): Promise<ClassFolders> {
  const { root, content } = await lookThrough(source)
  const notes = root === '' ? [] : [`The images are those of ${root}/, the only folder there.`]
  const { folders, images } = content
  const where = source.describe(root)
  if (folders.length === 0) {
    const got = images.length > 0 ? `${counted(images.length, 'image')} without labels` : 'no folders'
    throw new Error(
      `${where}: folder must hold a folder for each class, got ${got} (pmoe predict classifies images without labels)`,
    )
  }
  if (images.length > 0) {
    notes.push(`Left out: ${counted(images.length, 'image')} beside the folders of the classes.`)
  }
  // A class may be called "test".
  if (matchedClasses(folders, classNames).matches.size > 0) return { root, folders, notes }
  const halves = halvesByName(folders, where)
  const half = preferred.find(name => halves[name] !== undefined)
  if (half === undefined) return { root, folders, notes }
  const inHalf = joined(root, halves[half] as string)
  notes.push(`The images are those of ${inHalf}/, the ${halfTitles[half]} half.`)
  return { root: inHalf, folders: (await folderContent(source, inHalf)).folders, half, notes }
}
