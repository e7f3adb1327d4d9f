/**
 * Tells by their files which datasets a source can be.
 */

import type { DataSource } from '../data-source.js'
import type { DatasetEntry, FolderFormat } from './dataset.js'
import { datasets } from './datasets.js'

/** A format that a source has, and what can be trained from it. */
export interface RecognisedFormat {
  readonly title: string
  /** Names of the datasets that read it: those that are made for a person's own folder first. */
  readonly datasets: readonly string[]
}

/**
 * The formats that a source has; more than one where their files have the same names.
 *
 * @param table the datasets that it can be
 */
export async function recognise(
  source: DataSource,
  table: readonly DatasetEntry[] = datasets,
): Promise<RecognisedFormat[]> {
  const once = listedOnce(source)
  const recognised: RecognisedFormat[] = []
  for (const [format, readers] of readersByFormat(table)) {
    if (await format.isIn(once)) recognised.push({ title: format.title, datasets: readers })
  }
  return recognised
}

/** The formats in the order in which the table first has them. */
function readersByFormat(table: readonly DatasetEntry[]): Map<FolderFormat, string[]> {
  const rank = ({ source }: DatasetEntry): number => (source === 'folder' ? 0 : 1)
  const readers = new Map<FolderFormat, string[]>()
  for (const { format } of table) if (format) readers.set(format, [])
  for (const { name, format } of [...table].sort((a, b) => rank(a) - rank(b))) {
    if (format) readers.get(format)?.push(name)
  }
  return readers
}

/** The same source, whose folders are listed once however many formats look into them. */
function listedOnce(source: DataSource): DataSource {
  const listed = new Map<string, Promise<readonly string[]>>()
  return {
    ...source,
    list(folder) {
      const names = listed.get(folder) ?? source.list(folder)
      listed.set(folder, names)
      return names
    },
  }
}
