import type { DataSource } from '../../data-source.js'
import type { HalfName } from '../dataset.js'
import { type FolderContent, folderContent, joined } from './image-listing.js'

/** Names of folders, in lower case, and the half that each stands for. */
const halfWords: ReadonlyMap<string, HalfName> = new Map([
  ['train', 'train'],
  ['training', 'train'],
  ['val', 'validation'],
  ['valid', 'validation'],
  ['validation', 'validation'],
  ['dev', 'validation'],
  ['test', 'test'],
  ['testing', 'test'],
  ['eval', 'test'],
])

/** The folder of each half that there is. */
export type HalfFolders = Partial<Readonly<Record<HalfName, string>>>

/** The half that a folder is by its name, in any case; undefined where it is none. */
export function halfOf(folder: string): HalfName | undefined {
  return halfWords.get(folder.toLowerCase())
}

/**
 * Which folders are halves by their names. `eval` is the test half; it is the validation half where another folder is
 * the test half and none is for validation.
 *
 * @param where the folder that they lie in, for errors
 * @throws Error when two folders stand for the same half
 */
export function halvesByName(folders: readonly string[], where: string): HalfFolders {
  const named = folders.filter(name => halfOf(name) !== undefined)
  const has = (half: HalfName): boolean =>
    named.some(name => halfOf(name) === half && name.toLowerCase() !== 'eval')
  const evalIs: HalfName = has('test') && !has('validation') ? 'validation' : 'test'
  const halves: { [half in HalfName]?: string } = {}
  for (const name of named) {
    const half = name.toLowerCase() === 'eval' ? evalIs : (halfOf(name) as HalfName)
    const other = halves[half]
    if (other !== undefined) {
      throw new Error(
        `${where}: one folder must hold the ${halfTitles[half]} images, got ${other}/ and ${name}/ ` +
          '(join them, or rename the one that is not to be used to .name)',
      )
    }
    halves[half] = name
  }
  return halves
}

/** Names of the halves as sentences use them. */
export const halfTitles: Readonly<Record<HalfName, string>> = {
  train: 'training',
  validation: 'validation',
  test: 'test',
}

/** Where the classes of a folder of images lie. */
export interface FolderLayout {
  /** Paths of the folders that hold the classes of each half; the only one is `train` where there are no halves. */
  readonly halves: HalfFolders & { readonly train: string }
  /** What was found and what was left out, a sentence each. */
  readonly notes: readonly string[]
}

/**
 * Finds the halves of a folder of images, one folder a class in each; or the folder that holds the classes.
 *
 * Folders that hold nothing but one folder are looked through. Folders named as halves are halves where the one for
 * training holds folders; otherwise they are classes like the others.
 *
 * @throws Error naming the folders when halves cannot be told from classes
 */
export async function findLayout(source: DataSource): Promise<FolderLayout> {
  const { root, content } = await lookThrough(source)
  const notes = root === '' ? [] : [`The images are those of ${root}/, the only folder there.`]
  const contents = new Map<string, FolderContent>()
  for (const name of content.folders) {
    if (halfOf(name) !== undefined) contents.set(name, await folderContent(source, joined(root, name)))
  }
  const holdsClasses = (name: string): boolean => (contents.get(name)?.folders.length ?? 0) > 0
  const isTraining = (name: string): boolean => halfOf(name) === 'train' && holdsClasses(name)
  if (content.folders.some(isTraining)) {
    const layout = await halvesBeside(source, root, content, contents)
    return { halves: layout.halves, notes: [...notes, ...layout.notes] }
  }
  refuseHalvesAlone(source, root, content.folders, contents)
  const classLike = content.folders.filter(name => contents.has(name))
  if (classLike.length > 0) {
    notes.push(
      `Read as classes like the others, not as halves: ${listed(classLike.map(name => `${name}/`))}.`,
    )
  }
  return { halves: { train: root }, notes: [...notes, ...looseImages(root, content)] }
}

/** Goes down as long as a folder holds nothing but one folder, and that one holds folders. */
export async function lookThrough(source: DataSource): Promise<{ root: string; content: FolderContent }> {
  let root = ''
  let content = await folderContent(source, root)
  for (;;) {
    const [only, ...others] = content.folders
    if (only === undefined || others.length > 0 || content.images.length > 0 || halfOf(only)) break
    const inside = await folderContent(source, joined(root, only))
    if (inside.folders.length === 0 || inside.images.length > 0) break
    root = joined(root, only)
    content = inside
  }
  return { root, content }
}

async function halvesBeside(
  source: DataSource,
  root: string,
  content: FolderContent,
  contents: ReadonlyMap<string, FolderContent>,
): Promise<FolderLayout> {
  const leftOut = content.folders.filter(name => !contents.has(name)).map(name => `${name}/`)
  const usable: string[] = []
  for (const [name, { folders, images }] of contents) {
    if (folders.length > 0) usable.push(name)
    else if (images.length > 0) leftOut.push(`${name}/ (${images.length} images without folders of classes)`)
    else {
      throw new Error(
        `${source.describe(joined(root, name))}: half must hold a folder for each class, got an empty folder ` +
          '(remove it to go without)',
      )
    }
  }
  const byName = halvesByName(usable, source.describe(root))
  const halves: { [half in HalfName]?: string } = {}
  for (const [half, name] of Object.entries(byName) as [HalfName, string][]) halves[half] = joined(root, name)
  // Where there are only two halves, the second is reported, even if it is named as the validation half.
  if (halves.test === undefined && halves.validation !== undefined) {
    halves.test = halves.validation
    delete halves.validation
  }
  const loose = [...contents].flatMap(([name, { folders, images }]) =>
    folders.length > 0 ? looseImages(joined(root, name), { folders, images }) : [],
  )
  const { train = root, validation, test } = halves
  const halfFolders = {
    train,
    ...(validation !== undefined && { validation }),
    ...(test !== undefined && { test }),
  }
  const notes = [
    halvesText(halfFolders),
    ...(leftOut.length > 0 ? [`Left out: ${listed(leftOut)}.`] : []),
    ...loose,
  ]
  return { halves: halfFolders, notes }
}

function halvesText({ train, validation, test }: FolderLayout['halves']): string {
  const parts = [
    `${train}/ looks like the training half`,
    validation !== undefined && `${validation}/ like the validation half (for early stopping and choosing)`,
    test !== undefined && `${test}/ like the test half (for the reported numbers)`,
  ]
  return `${parts.filter(part => part !== false).join(', ')}.`
}

/** Images that lie beside the folders of the classes. */
function looseImages(folder: string, { images }: FolderContent): string[] {
  if (images.length === 0) return []
  const where = folder === '' ? '' : ` in ${folder}/`
  return [`Left out: ${counted(images.length, 'image')}${where} beside the folders of the classes.`]
}

/** Refuses folders for testing or validation without one for training. */
function refuseHalvesAlone(
  source: DataSource,
  root: string,
  folders: readonly string[],
  contents: ReadonlyMap<string, FolderContent>,
): void {
  const where = source.describe(root)
  const names = listed([...contents.keys()].map(name => `${name}/`))
  if (contents.size > 0 && contents.size === folders.length) {
    throw new Error(
      `${where}: folder must hold train/ with a folder for each of 2 or more classes in it, or the folders of the ` +
        `classes, got ${names} (names of halves, not of classes)`,
    )
  }
  const classes = new Set(folders.filter(name => !contents.has(name)))
  for (const [name, { folders: inside }] of contents) {
    const shared = inside.filter(folder => classes.has(folder))
    if (shared.length === 0) continue
    throw new Error(
      `${where}: ${name}/ must have a train/ beside it for the training images, got ${listed(shared.map(folder => `${folder}/`))} ` +
        `beside it and in it (move the classes into train/, or rename ${name}/ to .${name})`,
    )
  }
}

/** Names in a sentence, the first five of many. */
export function listed(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(', ')
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown
}

/** `1 image`, `2 images`. */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}
