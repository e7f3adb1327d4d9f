import { createHash } from 'node:crypto'
import { Example } from 'tfrecord'
import type { ByteSource } from '../../data/data-source.js'
import { footBytes, frameRecord, headBytes, readRecords } from '../../data/formats/tfrecord.js'
import { imageFeatures, type PreparedImage, readPreparedImage } from '../../data/prepared/encoded-image.js'
import type { ImageShape } from '../../shapes.js'
import { writeFileAtomic } from '../atomic.js'

/** What is known of each record of a shard. */
export interface ShardRecords {
  readonly labels: readonly number[]
  readonly groups: readonly number[]
  readonly trueCell: readonly number[]
  /** Four numbers for each record that has a box: top, left, height and width of its object. */
  readonly objectBox: readonly number[]
  /** Where each starts, in bytes. */
  readonly offsets: readonly number[]
}

/** A shard that was written. */
export interface WrittenShard {
  readonly known: ShardRecords
  readonly bytes: number
  readonly sha256: string
}

/** Bytes that are gathered before they are written. */
const pieceBytes = 2 ** 20

/** The bytes of the record of one image: an Example in a TFRecord. */
export function preparedRecord(
  { pixels, label, group, cell, box }: PreparedImage,
  shape: ImageShape,
): Uint8Array<ArrayBuffer> {
  const integers = {
    [imageFeatures.height]: shape[0],
    [imageFeatures.width]: shape[1],
    [imageFeatures.channels]: shape[2],
    [imageFeatures.label]: label,
    ...(group !== undefined && { [imageFeatures.group]: group }),
    ...(cell !== undefined && { [imageFeatures.cell]: cell }),
    ...(box && { [imageFeatures.box]: box }),
  }
  const feature = {
    [imageFeatures.pixels]: { bytesList: { value: [pixels] } },
    ...Object.fromEntries(
      Object.entries(integers).map(([key, value]) => [key, { int64List: { value: [value].flat() } }]),
    ),
  }
  return frameRecord(Example.encode({ features: { feature } }).finish())
}

/**
 * Writes a file of records whole or not at all, in the memory of a few images.
 *
 * @param images are taken as they come
 * @throws what `images` throws; Error with the path when the file cannot be written
 */
export async function writeShard(
  path: string,
  images: AsyncIterable<PreparedImage>,
  shape: ImageShape,
): Promise<WrittenShard> {
  const columns = emptyColumns()
  const hash = createHash('sha256')
  let bytes = 0
  let failure: unknown
  async function* pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    let gathered: Uint8Array[] = []
    let size = 0
    const flush = (): Uint8Array => {
      const piece = Buffer.concat(gathered)
      hash.update(piece)
      gathered = []
      size = 0
      return piece
    }
    try {
      for await (const image of images) {
        const record = preparedRecord(image, shape)
        append(columns, image, bytes)
        bytes += record.length
        size += record.length
        gathered.push(record)
        if (size >= pieceBytes) yield flush()
      }
      if (size > 0) yield flush()
    } catch (error) {
      failure = error
      throw error
    }
  }
  try {
    await writeFileAtomic(path, pieces())
  } catch (error) {
    // An error of the images is thrown as it is, not as one of writing the file.
    throw failure ?? error
  }
  return { known: columns, bytes, sha256: hash.digest('hex') }
}

/**
 * Reads what is known of the records of a shard, and checks every record.
 *
 * @throws RangeError naming file, record and byte where it is damaged
 */
export async function readShardRecords(
  source: ByteSource,
  name: string,
  shape: ImageShape,
): Promise<ShardRecords> {
  const columns = emptyColumns()
  const maxRecordBytes = largestRecord(shape)
  for await (const { first, records, offsets } of readRecords(source, name, { maxRecordBytes })) {
    records.forEach((data, i) => {
      append(columns, readPreparedImage(data, shape, `${name}: record ${first + i}`), offsets[i] as number)
    })
  }
  return columns
}

/** An upper limit of the length of an image's record, in bytes. */
function largestRecord([height, width, channels]: ImageShape): number {
  return headBytes + height * width * channels + 1024 + footBytes
}

type GrowingColumns = { [Key in keyof ShardRecords]: number[] }

function emptyColumns(): GrowingColumns {
  return { labels: [], groups: [], trueCell: [], objectBox: [], offsets: [] }
}

function append(columns: GrowingColumns, { label, group, cell, box }: PreparedImage, offset: number): void {
  columns.labels.push(label)
  if (group !== undefined) columns.groups.push(group)
  if (cell !== undefined) columns.trueCell.push(cell)
  if (box) columns.objectBox.push(...box)
  columns.offsets.push(offset)
}
