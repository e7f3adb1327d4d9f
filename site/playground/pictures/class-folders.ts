/** Which pictures belong to which class, by the folders that they are in. */

/** A file and where it is: `pets/cats/1.jpg`. */
export interface PlacedFile<File> {
  readonly path: string
  readonly file: File
}

/** The pictures of a class. */
export interface FolderClass<File> {
  readonly name: string
  readonly pictures: readonly File[]
}

/** Names of the halves of a dataset, which are no classes. */
const halves = ['train', 'training', 'test', 'testing', 'val', 'valid', 'validation']

/**
 * Divides files into classes: each folder is one. Folders that hold everything are left out of account, and so are those that name
 * halves (`train/cats` and `test/cats` are one class); files in deeper folders belong to the class above. Files in no folder
 * become a class of their own, without a name. Hidden files, and those that systems put into folders, are left out.
 *
 * @returns classes in the order of their names, none of them empty
 */
export function classesOf<File>(files: readonly PlacedFile<File>[]): readonly FolderClass<File>[] {
  let placed = files
    .map(({ path, file }) => ({ parts: path.split('/').filter(part => part !== ''), file }))
    .filter(({ parts }) => parts.length > 0 && !parts.some(isHidden))
  while (hasOneFolder(placed)) placed = placed.map(({ parts, file }) => ({ parts: parts.slice(1), file }))
  const names = new Set(placed.map(({ parts }) => parts[0]?.toLowerCase() ?? ''))
  const areHalves =
    placed.every(({ parts }) => parts.length > 2) && [...names].every(name => halves.includes(name))
  if (areHalves) placed = placed.map(({ parts, file }) => ({ parts: parts.slice(1), file }))
  const classes = new Map<string, File[]>()
  for (const { parts, file } of placed) {
    const name = parts.length > 1 ? (parts[0] as string).normalize('NFC') : ''
    const pictures = classes.get(name) ?? []
    pictures.push(file)
    classes.set(name, pictures)
  }
  return [...classes]
    .map(([name, pictures]) => ({ name, pictures }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Whether all files lie in one folder that holds further folders. */
function hasOneFolder(placed: readonly { readonly parts: readonly string[] }[]): boolean {
  const first = placed[0]?.parts[0]
  return placed.length > 0 && placed.every(({ parts }) => parts.length > 2 && parts[0] === first)
}

function isHidden(name: string): boolean {
  return name.startsWith('.') || name === '__MACOSX' || /^(thumbs\.db|desktop\.ini)$/i.test(name)
}

/**
 * Adds classes to those that there are: pictures of a name join those of the same name, and classes without a name get one.
 */
export function joinedClasses<File>(
  existing: readonly FolderClass<File>[],
  added: readonly FolderClass<File>[],
): readonly FolderClass<File>[] {
  const all = [...existing]
  for (const { name: given, pictures } of added) {
    const name = given || freeName(all.map(one => one.name))
    const at = all.findIndex(one => one.name === name)
    if (at < 0) all.push({ name, pictures })
    else all[at] = { name, pictures: [...(all[at] as FolderClass<File>).pictures, ...pictures] }
  }
  return all
}

/** The first of `class 1`, `class 2`, ... that is not taken. */
export function freeName(taken: readonly string[]): string {
  for (let number = 1; ; number++) if (!taken.includes(`class ${number}`)) return `class ${number}`
}
