import crc32c from 'crc-32/crc32c.js'
import { PbfReader } from 'pbf'
import { describe, expect, it } from 'vitest'
import { epochScalars, eventFileName, eventFileStart, scalarEvents } from '../../src/train/tensorboard.js'

interface ReadEvent {
  wallTime?: number
  step?: number
  fileVersion?: string
  values: { tag?: string; simpleValue?: number }[]
}

/** Reads TFRecord frames with their checksums, and the events in them. */
function readEvents(bytes: Uint8Array): ReadEvent[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const events: ReadEvent[] = []
  for (let offset = 0; offset < bytes.length; ) {
    const length = Number(view.getBigUint64(offset, true))
    const data = bytes.subarray(offset + 12, offset + 12 + length)
    expect(view.getUint32(offset + 8, true)).toBe(masked(bytes.subarray(offset, offset + 8)))
    expect(view.getUint32(offset + 12 + length, true)).toBe(masked(data))
    events.push(readEvent(data))
    offset += 16 + length
  }
  return events
}

/** The mask as TFRecord defines it, in exact integers. */
function masked(data: Uint8Array): number {
  const checksum = BigInt(crc32c.buf(data) >>> 0)
  const rotated = ((checksum >> 15n) | (checksum << 17n)) & 0xffffffffn
  return Number((rotated + 0xa282ead8n) & 0xffffffffn)
}

function readEvent(data: Uint8Array): ReadEvent {
  return new PbfReader(data).readFields<ReadEvent>(
    (field, event, reader) => {
      if (field === 1) event.wallTime = reader.readDouble()
      if (field === 2) event.step = reader.readVarint()
      if (field === 3) event.fileVersion = reader.readString()
      if (field === 5) event.values.push(...readSummary(reader))
    },
    { values: [] },
  )
}

function readSummary(reader: PbfReader): ReadEvent['values'] {
  return reader.readMessage<ReadEvent['values']>((field, values, inner) => {
    if (field !== 1) return
    values.push(
      inner.readMessage<ReadEvent['values'][number]>((key, value, fields) => {
        if (key === 1) value.tag = fields.readString()
        if (key === 2) value.simpleValue = fields.readFloat()
      }, {}),
    )
  }, [])
}

describe('event files', () => {
  it('begin with the version, byte by byte as TensorFlow writes it', () => {
    // Event: field 1 double 0 = 09 00*8, field 3 string of 13 bytes = 1a 0d "brain.Event:2"; 24 = 0x18 bytes.
    const bytes = eventFileStart(0)
    expect([...bytes.subarray(0, 8)]).toEqual([0x18, 0, 0, 0, 0, 0, 0, 0])
    // The masked checksum of that length, well known from event files: a3 7f 4b 22.
    expect([...bytes.subarray(8, 12)]).toEqual([0xa3, 0x7f, 0x4b, 0x22])
    expect([...bytes.subarray(12, 23)]).toEqual([9, 0, 0, 0, 0, 0, 0, 0, 0, 0x1a, 0x0d])
    expect(new TextDecoder().decode(bytes.subarray(23, 36))).toBe('brain.Event:2')
    expect(bytes.length).toBe(8 + 4 + 24 + 4)
  })

  it('read back as they were written, in pieces appended to one another', () => {
    const first = scalarEvents([
      { tag: 'loss/train', value: 0.5, step: 10, wallTime: 1e9 },
      { tag: 'loss/test', value: 0.75, step: 10, wallTime: 1e9 },
      { tag: 'loss/train', value: 0.25, step: 3_000_000_000, wallTime: 1e9 + 1.5 },
    ])
    const second = scalarEvents([{ tag: 'größe', value: -1, step: 0, wallTime: 2e9 }])
    const events = readEvents(Uint8Array.of(...eventFileStart(1e9), ...first, ...second))
    expect(events).toEqual([
      { wallTime: 1e9, fileVersion: 'brain.Event:2', values: [] },
      {
        wallTime: 1e9,
        step: 10,
        values: [
          { tag: 'loss/train', simpleValue: 0.5 },
          { tag: 'loss/test', simpleValue: 0.75 },
        ],
      },
      { wallTime: 1e9 + 1.5, step: 3_000_000_000, values: [{ tag: 'loss/train', simpleValue: 0.25 }] },
      { wallTime: 2e9, step: 0, values: [{ tag: 'größe', simpleValue: -1 }] },
    ])
    expect(scalarEvents([]).length).toBe(0)
  })

  it('have the name that TensorBoard looks for', () => {
    expect(eventFileName(1_700_000_000.9, 'page')).toBe('events.out.tfevents.1700000000.page')
    expect(eventFileName(12, 'page')).toBe('events.out.tfevents.0000000012.page')
  })
})

it('gives the curves of an epoch over its steps, without a test set too', () => {
  const metrics = {
    epoch: 2,
    trainLoss: 0.4,
    trainAccuracy: 0.8,
    seconds: 1,
    learningRate: 0.1,
    steps: 64,
  }
  expect(epochScalars(metrics, 5)).toEqual([
    { tag: 'loss/train', value: 0.4, step: 64, wallTime: 5 },
    { tag: 'accuracy/train', value: 0.8, step: 64, wallTime: 5 },
    { tag: 'learning_rate', value: 0.1, step: 64, wallTime: 5 },
  ])
  const tested = epochScalars({ ...metrics, testLoss: 0.5, testAccuracy: 0.7 }, 5)
  expect(tested.find(({ tag }) => tag === 'loss/test')?.value).toBe(0.5)
  expect(tested.find(({ tag }) => tag === 'accuracy/test')?.value).toBe(0.7)
})
