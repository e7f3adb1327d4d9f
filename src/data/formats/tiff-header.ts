import type { Size2D } from '../../shapes.js'
import type { ByteSource } from '../data-source.js'

/** One image of a TIFF file. */
export interface TiffDirectory {
  /** Height and width, in pixels. */
  readonly size: Size2D
  /** Height and width of its tiles; undefined where it is stored in strips. */
  readonly tile?: Size2D
  /** Whether it is a smaller version of another image of the file. */
  readonly isReduced: boolean
  /** The beginning of what it says of itself, up to 64 characters. */
  readonly description?: string
  /** The directories below it (SubIFDs), where OME-TIFF has the smaller versions of a page. */
  readonly below?: readonly TiffDirectory[]
}

/** What differs between TIFF and BigTIFF. */
interface Layout {
  readonly little: boolean
  readonly offsetBytes: 4 | 8
  readonly countBytes: 2 | 8
}

const tags = {
  subfileType: 254,
  width: 256,
  height: 257,
  tileWidth: 322,
  tileHeight: 323,
  below: 330,
  description: 270,
}
/** Bytes of a value by its type: 2 ASCII, 3 SHORT, 4 LONG, 13 IFD, 16 LONG8, 18 IFD8. */
const valueBytes: Readonly<Record<number, number>> = { 2: 1, 3: 2, 4: 4, 13: 4, 16: 8, 18: 8 }
const mostDirectories = 256
const mostEntries = 4096
const mostCharacters = 64

/**
 * Reads the directories of a TIFF or BigTIFF file, in the order of its pages.
 *
 * Reference: TIFF 6.0, sections 2 and 15.
 *
 * @param name of the file, for errors
 * @throws Error naming file and byte where the directories are damaged
 */
export async function readTiffDirectories(source: ByteSource, name: string): Promise<TiffDirectory[]> {
  const head = await readView(source, 0, 16, name)
  const order = head.getUint16(0)
  const little = order === 0x4949
  const magic = head.getUint16(2, little)
  if ((!little && order !== 0x4d4d) || (magic !== 42 && magic !== 43)) {
    throw new Error(`${name}: file must begin as TIFF, got no such mark (byte 0)`)
  }
  const layout: Layout =
    magic === 43 ? { little, offsetBytes: 8, countBytes: 8 } : { little, offsetBytes: 4, countBytes: 2 }
  const directories: TiffDirectory[] = []
  let offset = magic === 43 ? Number(head.getBigUint64(8, little)) : head.getUint32(4, little)
  while (offset !== 0) {
    if (directories.length === mostDirectories) {
      throw new Error(`${name}: directories must be at most ${mostDirectories}, got more (byte ${offset})`)
    }
    const { directory, next } = await readDirectory(source, offset, layout, name)
    directories.push(directory)
    offset = next
  }
  return directories
}

/** A directory, and the bytes at which those below it and the next one stand. */
interface ReadDirectory {
  readonly directory: TiffDirectory
  readonly next: number
}

/** Reads a directory, and those below it unless it is one of these. */
async function readDirectory(
  source: ByteSource,
  offset: number,
  layout: Layout,
  name: string,
  isBelow = false,
): Promise<ReadDirectory> {
  const { little, offsetBytes, countBytes } = layout
  const counted = await readView(source, offset, countBytes, name)
  const entries = countBytes === 2 ? counted.getUint16(0, little) : Number(counted.getBigUint64(0, little))
  if (entries > mostEntries) {
    throw new Error(
      `${name}: entries of a directory must be at most ${mostEntries}, got ${entries} (byte ${offset})`,
    )
  }
  const entryBytes = 4 + 2 * offsetBytes
  const view = await readView(source, offset + countBytes, entries * entryBytes + offsetBytes, name)
  const found = new Map<number, Entry>()
  for (let entry = 0; entry < entries; entry++) {
    const at = entry * entryBytes
    const bytes = valueBytes[view.getUint16(at + 2, little)]
    const count = integerAt(view, at + 4, offsetBytes, little)
    if (bytes !== undefined) found.set(view.getUint16(at, little), { at: at + 4 + offsetBytes, bytes, count })
  }
  // All of the tags that count but those of several directories hold one number, within the entry.
  const one = (tag: number): number => {
    const entry = found.get(tag)
    return entry ? integerAt(view, entry.at, entry.bytes, little) : 0
  }
  const tile: Size2D = [one(tags.tileHeight), one(tags.tileWidth)]
  const offsets = isBelow ? [] : await integersOf(source, view, found.get(tags.below), layout, name)
  const below: TiffDirectory[] = []
  for (const start of offsets) below.push((await readDirectory(source, start, layout, name, true)).directory)
  const description = await textOf(source, view, found.get(tags.description), layout)
  const directory: TiffDirectory = {
    size: [one(tags.height), one(tags.width)],
    ...(tile[0] > 0 && tile[1] > 0 && { tile }),
    isReduced: (one(tags.subfileType) & 1) === 1,
    ...(description !== '' && { description }),
    ...(below.length > 0 && { below }),
  }
  return { directory, next: integerAt(view, entries * entryBytes, offsetBytes, little) }
}

/** Where the values of an entry stand, how long each is, and how many there are. */
interface Entry {
  readonly at: number
  readonly bytes: number
  readonly count: number
}

/** The numbers of an entry, which stand elsewhere where they do not fit into it. */
async function integersOf(
  source: ByteSource,
  view: DataView,
  entry: Entry | undefined,
  { little, offsetBytes }: Layout,
  name: string,
): Promise<number[]> {
  if (!entry) return []
  const { at, bytes, count } = entry
  if (count > mostDirectories) {
    throw new Error(`${name}: directories below one must be at most ${mostDirectories}, got ${count}`)
  }
  const isInside = count * bytes <= offsetBytes
  const values = isInside
    ? view
    : await readView(source, integerAt(view, at, offsetBytes, little), count * bytes, name)
  const first = isInside ? at : 0
  return Array.from({ length: count }, (_, i) => integerAt(values, first + i * bytes, bytes, little))
}

/** The beginning of a text; nothing where it is not in the file. */
async function textOf(
  source: ByteSource,
  view: DataView,
  entry: Entry | undefined,
  { little, offsetBytes }: Layout,
): Promise<string> {
  if (entry?.bytes !== 1) return ''
  const { at, count } = entry
  const start = integerAt(view, at, offsetBytes, little)
  if (count <= offsetBytes || start + count > source.length) return ''
  const bytes = await source.slice(start, start + Math.min(count, mostCharacters))
  return new TextDecoder('latin1').decode(bytes).replace(/\0.*$/s, '')
}

function integerAt(view: DataView, at: number, bytes: number, little: boolean): number {
  if (bytes === 2) return view.getUint16(at, little)
  return bytes === 4 ? view.getUint32(at, little) : Number(view.getBigUint64(at, little))
}

async function readView(source: ByteSource, start: number, length: number, name: string): Promise<DataView> {
  const bytes = start < source.length ? await source.slice(start, start + length) : new Uint8Array()
  if (bytes.length < length) {
    throw new Error(
      `${name}: TIFF directories must lie within the ${source.length} bytes of the file, got ${start + length} (byte ${start})`,
    )
  }
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}
