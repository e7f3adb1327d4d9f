/**
 * TFRecord, TensorFlow's file of records: length (8 bytes), its checksum (4), the data, their checksum (4), all
 * little-endian; checksums are CRC-32C, masked.
 *
 * Reference: https://www.tensorflow.org/tutorials/load_data/tfrecord
 */
import crc32c from 'crc-32/crc32c.js'
import { isPositiveInteger } from '../../shapes.js'
import type { ByteSource } from '../data-source.js'

/** Bytes of a record's length and the checksum of that. */
export const headBytes = 12
/** Bytes of the checksum behind a record's data. */
export const footBytes = 4

/** Consecutive records of a file. */
export interface RecordChunk {
  /** Number of the first of them in the file, from 0. */
  readonly first: number
  /** The data of each; views of one memory that belongs to this chunk alone. */
  readonly records: readonly Uint8Array[]
  /** Byte of the file at which each record starts (at its length, before the data). */
  readonly offsets: readonly number[]
}

/** How a file of records is read. */
export interface RecordReading {
  /** Bytes that are read at a time; what is held in memory is this, or one record where that is larger. */
  readonly chunkBytes?: number
  /** The longest record that is accepted, in bytes. */
  readonly maxRecordBytes?: number
}

const defaultChunkBytes = 2 ** 20
const defaultMaxRecordBytes = 2 ** 28

/** CRC-32C of the data, rotated right by 15 bits, plus a constant: what TFRecord stores, an unsigned 32-bit integer. */
export function maskedChecksum(data: Uint8Array): number {
  const checksum = crc32c.buf(data) >>> 0
  return (((checksum >>> 15) | (checksum << 17)) + 0xa282ead8) >>> 0
}

/** The bytes of one record around its data. */
export function frameRecord(data: Uint8Array): Uint8Array<ArrayBuffer> {
  const record = new Uint8Array(headBytes + data.length + footBytes)
  const view = new DataView(record.buffer)
  view.setBigUint64(0, BigInt(data.length), true)
  view.setUint32(8, maskedChecksum(record.subarray(0, 8)), true)
  record.set(data, headBytes)
  view.setUint32(headBytes + data.length, maskedChecksum(data), true)
  return record
}

/** Whether bytes start as a record does: with a length and the checksum of it. */
export function isRecordHead(bytes: Uint8Array): boolean {
  if (bytes.length < headBytes) return false
  const stored = new DataView(bytes.buffer, bytes.byteOffset, headBytes).getUint32(8, true)
  return maskedChecksum(bytes.subarray(0, 8)) === stored
}

/**
 * Reads the records of a file one chunk after another, in bounded memory.
 *
 * Both checksums of every record are checked, and a length against the file and `maxRecordBytes` before anything of
 * its size is allocated.
 *
 * @param source stays open
 * @param name of the file, for errors
 * @throws RangeError with record number, byte offset, what was expected and found when a checksum differs, a length is
 *   too large, or the file ends within a record; RangeError when an option is not a positive integer
 */
export async function* readRecords(
  source: ByteSource,
  name: string,
  reading: RecordReading = {},
): AsyncGenerator<RecordChunk, void, undefined> {
  const { chunkBytes = defaultChunkBytes, maxRecordBytes = defaultMaxRecordBytes } = reading
  for (const [option, value] of Object.entries({ chunkBytes, maxRecordBytes })) {
    if (isPositiveInteger(value)) continue
    throw new RangeError(`readRecords: ${option} must be a positive integer, got ${value}`)
  }
  const file: RecordFile = { name, length: source.length, maxRecordBytes }
  let first = 0
  let offset = 0
  let bytesToRead = chunkBytes
  while (offset < source.length) {
    const bytes = await source.slice(offset, Math.min(offset + bytesToRead, source.length))
    const { chunk, used, needed } = recordsIn(bytes, { first, offset, file })
    if (chunk.records.length > 0) yield chunk
    first += chunk.records.length
    offset += used
    if (used === 0 && bytes.length < bytesToRead) throw cutShort(file, first, offset, bytes.length, needed)
    // A record that is larger than a chunk is read at once.
    bytesToRead = used === 0 ? Math.max(chunkBytes, needed) : chunkBytes
  }
}

/**
 * Finds where the records of a file start, without reading their data: the checksums of lengths are checked, those of
 * data are not.
 *
 * @returns where each record starts, and at the end the length of the file, in bytes
 * @throws RangeError as {@link readRecords}
 */
export async function recordOffsets(
  source: ByteSource,
  name: string,
  { maxRecordBytes = defaultMaxRecordBytes }: Pick<RecordReading, 'maxRecordBytes'> = {},
): Promise<Float64Array> {
  const file: RecordFile = { name, length: source.length, maxRecordBytes }
  const offsets: number[] = []
  let offset = 0
  while (offset < source.length) {
    const head = await source.slice(offset, offset + headBytes)
    const end = offset + recordLength(head, 0, { file, record: offsets.length, offset })
    offsets.push(offset)
    if (end > source.length) {
      throw cutShort(file, offsets.length - 1, offset, source.length - offset, end - offset)
    }
    offset = end
  }
  return Float64Array.from([...offsets, source.length])
}

/**
 * Splits consecutive records.
 *
 * @param bytes whole records, and nothing else
 * @param at the number and the byte offset of the first, and the file's name, for errors
 * @returns views of `bytes`
 * @throws RangeError as {@link readRecords}
 */
export function splitRecords(
  bytes: Uint8Array,
  at: { readonly name: string; readonly first: number; readonly offset: number },
): readonly Uint8Array[] {
  const { name, first, offset } = at
  const file: RecordFile = { name, length: offset + bytes.length, maxRecordBytes: bytes.length }
  const { chunk, used, needed } = recordsIn(bytes, { first, offset, file })
  if (used < bytes.length) {
    throw cutShort(file, first + chunk.records.length, offset + used, bytes.length - used, needed)
  }
  return chunk.records
}

/** What is known of the file that is read. */
interface RecordFile {
  readonly name: string
  readonly length: number
  readonly maxRecordBytes: number
}

/** Where a piece of a file lies in it. */
interface Place {
  readonly file: RecordFile
  readonly first: number
  readonly offset: number
}

/** The whole records at the start of some bytes, how many bytes they take, and how many the next one needs. */
function recordsIn(
  bytes: Uint8Array,
  { file, first, offset }: Place,
): { chunk: RecordChunk; used: number; needed: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const records: Uint8Array[] = []
  const offsets: number[] = []
  let used = 0
  let needed = headBytes
  while (used + headBytes <= bytes.length) {
    const place = { file, record: first + records.length, offset: offset + used }
    needed = recordLength(bytes, used, place)
    const end = used + needed
    if (end > bytes.length) break
    const data = bytes.subarray(used + headBytes, end - footBytes)
    checkSum(place, 'data', maskedChecksum(data), view.getUint32(end - footBytes, true))
    records.push(data)
    offsets.push(place.offset)
    used = end
    needed = headBytes
  }
  return { chunk: { first, records, offsets }, used, needed }
}

/** Which record of a file, and where it starts. */
interface RecordPlace {
  readonly file: RecordFile
  readonly record: number
  readonly offset: number
}

/** The bytes of the record whose head is at `start`: head, data and checksum. */
function recordLength(bytes: Uint8Array, start: number, place: RecordPlace): number {
  const { file, record, offset } = place
  if (bytes.length - start < headBytes) throw cutShort(file, record, offset, bytes.length - start, headBytes)
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, headBytes)
  checkSum(place, 'length', maskedChecksum(bytes.subarray(start, start + 8)), view.getUint32(8, true))
  // Lengths of 2^53 and more are rounded here, but are refused below anyway.
  const length = view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true)
  if (length > file.maxRecordBytes) {
    throw new RangeError(
      `${file.name}: record ${record} at byte ${offset} must be at most ${file.maxRecordBytes} bytes long, ` +
        `got ${view.getBigUint64(0, true)} (file of ${file.length} bytes)`,
    )
  }
  const recordBytes = headBytes + length + footBytes
  if (offset + recordBytes > file.length)
    throw cutShort(file, record, offset, file.length - offset, recordBytes)
  return recordBytes
}

function checkSum(place: RecordPlace, what: string, computed: number, stored: number): void {
  if (computed === stored) return
  const { file, record, offset } = place
  throw new RangeError(
    `${file.name}: ${what} of record ${record} at byte ${offset} must have the checksum ${hex(stored)} that is ` +
      `stored with it, got ${hex(computed)}`,
  )
}

function cutShort(
  { name }: RecordFile,
  record: number,
  offset: number,
  available: number,
  needed: number,
): RangeError {
  return new RangeError(
    `${name}: record ${record} at byte ${offset} must be ${needed} bytes long, got ${available} (the file is cut short)`,
  )
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`
}
