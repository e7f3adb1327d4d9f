import type { DataSource } from '../../data-source.js'
import { findCeleba } from './layout.js'
import { type ImageTable, readAttributes, readPartition } from './tables.js'

/** The parts of CelebA by their numbers in its table. */
export const celebaParts = { train: 0, validation: 1, test: 2 } as const

/** Images of faces with attributes that each has or has not: CelebA, or what is stored like it. */
export interface FaceImages<Attribute extends string> {
  readonly count: number
  /** Of each attribute: (count) 1 where an image has it, -1 where it has not. */
  readonly attributes: Readonly<Record<Attribute, Int8Array>>
  /** (count) numbers of {@link celebaParts}. */
  readonly parts: Int8Array
  /** Name of an image for people, as errors quote it. */
  name(row: number): string
  /** The bytes of an image file. */
  encoded(row: number): Promise<Uint8Array>
}

/**
 * Opens CelebA in any of its layouts: reads its tables, decodes no image.
 *
 * @param attributes which of the forty to keep, by name: `Smiling`
 * @throws Error naming the files that are missing; RangeError with file and line where a table is damaged, or rows of
 *   the tables and images do not belong together
 */
export async function openCeleba<Attribute extends string>(
  source: DataSource,
  attributes: readonly Attribute[],
): Promise<FaceImages<Attribute>> {
  const layout = await findCeleba(source)
  const read = async (path: string) => ({ name: source.describe(path), bytes: await source.read(path) })
  const table = readAttributes(await read(layout.attributes), attributes)
  const partition = readPartition(await read(layout.partition))
  const folder = { file: source.describe(layout.images), images: layout.imageNames }
  checkRows(table, partition, 'row')
  checkRows(partition, table, 'row')
  checkRows(table, folder, 'file')
  checkRows(folder, table, 'row')
  const path = (row: number): string => `${layout.images}/${table.images[row]}`
  return {
    count: table.images.length,
    attributes: table.columns,
    parts: inOrderOf(table.images, partition),
    name: row => source.describe(path(row)),
    encoded: row => source.read(path(row)),
  }
}

/** Something that names images: a table, or the folder of the images themselves. */
interface NamedImages {
  readonly file: string
  readonly images: readonly string[]
  line?(row: number): number
}

/** Checks that every image of `from` has its image or row in `to`. */
function checkRows(from: NamedImages, to: NamedImages, what: 'file' | 'row'): void {
  const toNames = new Set(to.images)
  const first = from.images.findIndex(image => !toNames.has(image))
  if (first < 0) return
  const without = from.images.filter(image => !toNames.has(image)).length
  const line = from.line ? `, line ${from.line(first)}` : ''
  throw new RangeError(
    `${from.file}: images must have their ${what} in ${to.file}, got ${without} of ${from.images.length} without ` +
      `(first ${from.images[first]}${line})`,
  )
}

function inOrderOf(
  images: readonly string[],
  { images: names, columns }: ImageTable<'partition'>,
): Int8Array {
  const rows = new Map(names.map((name, row) => [name, row]))
  return Int8Array.from(images, image => columns.partition[rows.get(image) as number] as number)
}
