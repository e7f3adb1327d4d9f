import { describe, expect, it } from 'vitest'
import { readTiffDirectories, type TiffDirectory } from '../../../src/data/formats/tiff-header.js'

type Entry = readonly [tag: number, type: 3 | 4, value: number]

/** A file of one directory after another, big- or little-endian; the last leads to `next`. */
function tiffBytes(directories: readonly (readonly Entry[])[], little: boolean, next = 0): Uint8Array {
  const starts = directories.map((_, i) =>
    directories.slice(0, i).reduce((sum, entries) => sum + 6 + 12 * entries.length, 8),
  )
  const length = directories.reduce((sum, entries) => sum + 6 + 12 * entries.length, 8)
  const view = new DataView(new ArrayBuffer(length))
  view.setUint16(0, little ? 0x4949 : 0x4d4d)
  view.setUint16(2, 42, little)
  view.setUint32(4, 8, little)
  for (const [i, entries] of directories.entries()) {
    const start = starts[i] as number
    view.setUint16(start, entries.length, little)
    for (const [j, [tag, type, value]] of entries.entries()) {
      const at = start + 2 + 12 * j
      view.setUint16(at, tag, little)
      view.setUint16(at + 2, type, little)
      view.setUint32(at + 4, 1, little)
      if (type === 3) view.setUint16(at + 8, value, little)
      else view.setUint32(at + 8, value, little)
    }
    view.setUint32(start + 2 + 12 * entries.length, starts[i + 1] ?? next, little)
  }
  return new Uint8Array(view.buffer)
}

function read(bytes: Uint8Array): Promise<TiffDirectory[]> {
  const source = {
    length: bytes.length,
    slice: async (start: number, end: number) => bytes.slice(start, end),
    close: async () => {},
  }
  return readTiffDirectories(source, 'a.tif')
}

const tiled: readonly Entry[] = [
  [256, 4, 70_000],
  [257, 3, 900],
  [322, 3, 256],
  [323, 4, 128],
]
const reduced: readonly Entry[] = [
  [254, 4, 1],
  [256, 3, 350],
  [257, 3, 450],
]

describe('readTiffDirectories', () => {
  it.each([true, false])('reads sizes, tiles and smaller versions (little-endian: %s)', async little => {
    expect(await read(tiffBytes([tiled, reduced], little))).toEqual([
      { size: [900, 70_000], tile: [128, 256], isReduced: false },
      { size: [450, 350], isReduced: true },
    ])
  })

  it.each([true, false])('reads directories below one (little-endian: %s)', async little => {
    // Two offsets do not fit into an entry: they stand at the end.
    const upper: readonly Entry[] = [...tiled, [330, 4, 0]]
    const bytes = tiffBytes([upper, reduced, tiled], little)
    const [second, third] = [8 + 6 + 12 * 5, 8 + 6 + 12 * 5 + 6 + 12 * 3]
    const file = new Uint8Array(bytes.length + 8)
    file.set(bytes)
    const view = new DataView(file.buffer)
    view.setUint32(10 + 12 * 4 + 4, 2, little)
    view.setUint32(10 + 12 * 4 + 8, bytes.length, little)
    view.setUint32(10 + 12 * 5, 0, little)
    view.setUint32(bytes.length, third, little)
    view.setUint32(bytes.length + 4, second, little)
    const whole = { size: [900, 70_000], tile: [128, 256], isReduced: false }
    const half = { size: [450, 350], isReduced: true }
    expect(await read(file)).toEqual([{ ...whole, below: [whole, half] }])
    // One offset stands in the entry itself; a directory that is below itself is read once.
    view.setUint32(10 + 12 * 4 + 4, 1, little)
    view.setUint32(10 + 12 * 4 + 8, 8, little)
    expect(await read(file)).toEqual([{ ...whole, below: [whole] }])
    view.setUint32(10 + 12 * 4 + 4, 300, little)
    await expect(read(file)).rejects.toThrow(
      new Error('a.tif: directories below one must be at most 256, got 300'),
    )
    view.setUint32(10 + 12 * 4 + 4, 3, little)
    view.setUint32(10 + 12 * 4 + 8, bytes.length, little)
    await expect(read(file)).rejects.toThrow(
      `TIFF directories must lie within the ${file.length} bytes of the file, got ${bytes.length + 12} (byte ${bytes.length})`,
    )
  })

  it('names file and byte of what is damaged', async () => {
    const bytes = tiffBytes([tiled], true)
    await expect(read(new Uint8Array(20))).rejects.toThrow(
      new Error('a.tif: file must begin as TIFF, got no such mark (byte 0)'),
    )
    const outside = (end: number, byte: number) =>
      new Error(`a.tif: TIFF directories must lie within the 60 bytes of the file, got ${end} (byte ${byte})`)
    await expect(read(bytes.subarray(0, 60))).rejects.toThrow(outside(62, 10))
    const many = bytes.slice()
    new DataView(many.buffer).setUint16(8, 5000, true)
    await expect(read(many)).rejects.toThrow(
      new Error('a.tif: entries of a directory must be at most 4096, got 5000 (byte 8)'),
    )
    await expect(read(tiffBytes([tiled], true, 8))).rejects.toThrow(
      new Error('a.tif: directories must be at most 256, got more (byte 8)'),
    )
  })
})
