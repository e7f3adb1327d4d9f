import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ByteSource } from '../../../src/data/data-source.js'
import {
  frameRecord,
  maskedChecksum,
  type RecordReading,
  readRecords,
  recordOffsets,
  splitRecords,
} from '../../../src/data/formats/tfrecord.js'

/** A file in memory that counts the bytes asked of it at a time. */
function fileOf(bytes: Uint8Array): ByteSource & { largest: number } {
  return {
    length: bytes.length,
    largest: 0,
    async slice(start, end) {
      this.largest = Math.max(this.largest, end - start)
      return bytes.slice(start, end)
    },
    close: async () => {},
  }
}

const joined = (parts: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(parts))
const text = (data: string) => new TextEncoder().encode(data)

async function recordsOf(bytes: Uint8Array, reading?: RecordReading): Promise<Uint8Array[]> {
  const records: Uint8Array[] = []
  for await (const chunk of readRecords(fileOf(bytes), 'mem:a', reading)) {
    expect(chunk.first).toBe(records.length)
    records.push(...chunk.records)
  }
  return records
}

const three = [text('alpha'), text(''), text('gamma rays')].map(frameRecord)
const file = joined(three)

describe('checksums', () => {
  test('are CRC-32C, masked as TFRecord has them', () => {
    // CRC-32C of "123456789" is 0xe3069283 (the check value of its catalogue entry):
    // rotated right by 15 bits 0x2507c60d, plus 0xa282ead8.
    expect(maskedChecksum(text('123456789'))).toBe(0xc78ab0e5)
  })

  test('stand behind the length and behind the data', () => {
    const record = frameRecord(text('123456789'))
    const view = new DataView(record.buffer)
    expect(record.length).toBe(8 + 4 + 9 + 4)
    expect(view.getBigUint64(0, true)).toBe(9n)
    expect(view.getUint32(21, true)).toBe(0xc78ab0e5)
  })
})

describe('readRecords', () => {
  test('reads what TensorFlow wrote', async () => {
    const path = fileURLToPath(new URL('../tensorflow-records.tfrecord', import.meta.url))
    const records = await recordsOf(new Uint8Array(readFileSync(path)))
    expect(records).toHaveLength(3)
    // The third is an Example without features: an empty Features message.
    expect([...(records[2] ?? [])]).toEqual([10, 0])
  })

  test('yields records of any size in chunks of any size, in memory of their own', async () => {
    const records = fc.array(fc.uint8Array({ maxLength: 70 }), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(records, fc.integer({ min: 1, max: 200 }), async (data, chunkBytes) => {
        const read = await recordsOf(joined(data.map(frameRecord)), { chunkBytes })
        expect(read.map(record => [...record])).toEqual(data.map(record => [...record]))
      }),
      { numRuns: 60 },
    )
  })

  test('tells where each record starts', async () => {
    const offsets: number[] = []
    for await (const chunk of readRecords(fileOf(file), 'a', { chunkBytes: 25 }))
      offsets.push(...chunk.offsets)
    expect(offsets).toEqual([0, 21, 37])
    expect([...(await recordOffsets(fileOf(file), 'a'))]).toEqual([0, 21, 37, 63])
  })

  test('asks for no more than a chunk, or one record', async () => {
    const source = fileOf(
      joined([frameRecord(new Uint8Array(500)), ...Array(50).fill(frameRecord(text('x')))]),
    )
    for await (const _ of readRecords(source, 'a', { chunkBytes: 100 }));
    expect(source.largest).toBe(516)
  })

  test.each([0, 20, 36, 62])('finds a changed byte %i', async byte => {
    const changed = file.slice()
    changed[byte]! ^= 4
    const [record, offset] = byte < 21 ? [0, 0] : byte < 37 ? [1, 21] : [2, 37]
    const what = byte === 0 ? 'length' : 'data'
    await expect(recordsOf(changed)).rejects.toThrow(
      new RegExp(
        `^mem:a: ${what} of record ${record} at byte ${offset} must have the checksum 0x[0-9a-f]{8} that is stored with it, got 0x[0-9a-f]{8}$`,
      ),
    )
  })

  test('names both checksums', async () => {
    const changed = frameRecord(text('123456789'))
    changed.set([1, 2, 3, 4], 21)
    await expect(recordsOf(changed)).rejects.toThrow(
      'mem:a: data of record 0 at byte 0 must have the checksum 0x04030201 that is stored with it, got 0xc78ab0e5',
    )
  })

  test.each([
    [40, 'mem:a: record 2 at byte 37 must be 12 bytes long, got 3 (the file is cut short)'],
    [60, 'mem:a: record 2 at byte 37 must be 26 bytes long, got 23 (the file is cut short)'],
  ])('refuses a file that ends at byte %i, after the whole records', async (length, message) => {
    const seen: number[] = []
    const reading = async () => {
      for await (const chunk of readRecords(fileOf(file.slice(0, length)), 'mem:a', { chunkBytes: 38 })) {
        seen.push(...chunk.offsets)
      }
    }
    await expect(reading()).rejects.toThrow(message)
    expect(seen).toEqual([0, 21])
    await expect(recordOffsets(fileOf(file.slice(0, length)), 'mem:a')).rejects.toThrow(message)
  })

  test('refuses a length of 2^60 and one above the limit before anything of that size is read', async () => {
    const head = new Uint8Array(64)
    new DataView(head.buffer).setBigUint64(0, 2n ** 60n, true)
    new DataView(head.buffer).setUint32(8, maskedChecksum(head.subarray(0, 8)), true)
    const source = fileOf(joined([...three, head]))
    const reading = async () => {
      for await (const _ of readRecords(source, 'mem:a'));
    }
    await expect(reading()).rejects.toThrow(
      'mem:a: record 3 at byte 63 must be at most 268435456 bytes long, got 1152921504606846976 (file of 127 bytes)',
    )
    expect(source.largest).toBe(127)
    await expect(recordsOf(file, { maxRecordBytes: 9 })).rejects.toThrow(
      'mem:a: record 2 at byte 37 must be at most 9 bytes long, got 10 (file of 63 bytes)',
    )
  })

  test('refuses a file that became shorter while it is read', async () => {
    const source = { ...fileOf(file), slice: async (start: number) => file.slice(start, 30) }
    const reading = async () => {
      for await (const _ of readRecords(source, 'mem:a'));
    }
    await expect(reading()).rejects.toThrow('mem:a: record 1 at byte 21 must be 12 bytes long, got 9')
  })

  test.each([
    ['chunkBytes', 0],
    ['maxRecordBytes', 1.5],
  ])('refuses a %s of %d', async (option, value) => {
    await expect(recordsOf(file, { [option]: value })).rejects.toThrow(
      `readRecords: ${option} must be a positive integer, got ${value}`,
    )
  })

  test('finds nothing in an empty file', async () => {
    expect(await recordsOf(new Uint8Array())).toEqual([])
    expect([...(await recordOffsets(fileOf(new Uint8Array()), 'a'))]).toEqual([0])
  })
})

describe('splitRecords', () => {
  test('takes a part of a file apart', () => {
    const records = splitRecords(file.slice(21), { name: 'a', first: 1, offset: 21 })
    expect(records.map(record => Buffer.from(record).toString())).toEqual(['', 'gamma rays'])
  })

  test('refuses what does not end with a record', () => {
    expect(() => splitRecords(file.slice(21, 50), { name: 'a', first: 1, offset: 21 })).toThrow(
      'a: record 2 at byte 37 must be 26 bytes long, got 13 (the file is cut short)',
    )
  })
})
