import type { PlacedFile } from './class-folders.js'

/** Files that are read of dropped folders, at most. */
const MOST_FILES = 20_000

/**
 * The files of what was dropped, folders entered.
 *
 * @throws RangeError when there are more than 20,000, as in a folder that was not meant
 */
export async function droppedFiles(transfer: DataTransfer): Promise<readonly PlacedFile<File>[]> {
  // Entries are gone after the first pause.
  const entries = [...transfer.items].flatMap(item => item.webkitGetAsEntry() ?? [])
  const files: PlacedFile<File>[] = []
  for (const entry of entries) await collect(entry, '', files)
  return files
}

async function collect(entry: FileSystemEntry, folder: string, files: PlacedFile<File>[]): Promise<void> {
  const path = `${folder}${entry.name}`
  if (files.length >= MOST_FILES)
    throw new RangeError(`Own pictures: files must be at most ${MOST_FILES}, got more (in ${path})`)
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject),
    )
    files.push({ path, file })
    return
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    )
    if (some.length === 0) return
    for (const inner of some) await collect(inner, `${path}/`, files)
  }
}

/** The files that were chosen, with the folders that they were in where a folder was chosen. */
export function chosenFiles(input: HTMLInputElement): readonly PlacedFile<File>[] {
  return [...(input.files ?? [])].map(file => ({ path: file.webkitRelativePath || file.name, file }))
}
