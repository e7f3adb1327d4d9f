import type { ImageShape } from '../../shapes.js'
import type { ByteSource, DataSource } from '../data-source.js'
import type { HalfName } from '../datasets/dataset.js'
import { footBytes, headBytes, isRecordHead } from '../formats/tfrecord.js'
import { byteRegions } from '../regions/byte-regions.js'
import { type RegionRecords, storedRegions } from '../regions/region-records.js'
import { pixelHeadBytes, pixelsAt } from './encoded-image.js'
import type { PreparedManifest, PreparedShard } from './manifest.js'
import { preparedRecords, type StoredHalf, storedHalf } from './records.js'

/**
 * The training or the test images of a prepared folder as images that are read in parts: of the files of records only those bytes
 * are read that views and regions are made of. Checksums of records, which cover whole images, are not looked at (`pmoe data verify`
 * does).
 *
 * @param source the folder
 * @param samples how many; all of them by default
 * @throws as `preparedRecords`
 */
export async function preparedRegions(
  source: DataSource,
  manifest: PreparedManifest,
  half: HalfName,
  samples?: number,
): Promise<RegionRecords> {
  const records = await preparedRecords(source, manifest, half, samples)
  const stored = await storedHalf(source, manifest, half, samples)
  const placeOf = placesOf(stored)
  return {
    ...storedRegions(records),
    name: position => placeOf(position).name,
    open: async position => {
      const place = placeOf(position)
      return byteRegions(() => openedPixels(source, place, manifest.shape), manifest.shape, place.name)
    },
  }
}

/** Where the record of an image stands. */
interface RecordPlace {
  readonly shard: PreparedShard
  readonly offset: number
  /** For errors. */
  readonly name: string
}

function placesOf({ source, index, half }: StoredHalf): (position: number) => RecordPlace {
  let count = 0
  const shards = half.shards.map(shard => {
    const first = count
    count += shard.records
    return { shard, first }
  })
  return position => {
    const { shard, first } = shards.findLast(each => each.first <= position) as (typeof shards)[0]
    const name = `${source.describe(shard.file)}: record ${position - first}`
    return { shard, offset: index.offsets[position] as number, name }
  }
}

/** A file of records, and the byte at which the pixels of one begin. */
async function openedPixels(
  source: DataSource,
  { shard, offset, name }: RecordPlace,
  shape: ImageShape,
): Promise<{ readonly file: ByteSource; readonly start: number }> {
  const file = await source.open(shard.file)
  try {
    if (file.length !== shard.bytes) {
      throw new RangeError(
        `${source.describe(shard.file)}: file must be ${shard.bytes} bytes long, got ${file.length}`,
      )
    }
    const head = await file.slice(offset, offset + headBytes + pixelHeadBytes)
    if (!isRecordHead(head)) {
      throw new RangeError(`${name} must be where the index says, got no record there (byte ${offset})`)
    }
    const data = offset + headBytes
    const start = data + pixelsAt(head.subarray(headBytes), shape, name)
    const end = start + shape[0] * shape[1] * shape[2] + footBytes
    if (end > file.length) {
      throw new RangeError(`${name}: pixels must end within the file of ${file.length} bytes, got ${end}`)
    }
    return { file, start }
  } catch (error) {
    await file.close()
    throw error
  }
}
