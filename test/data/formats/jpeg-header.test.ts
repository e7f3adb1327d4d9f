import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hasJpegEnd, type JpegHeader, readJpegHeader } from '../../../src/data/formats/jpeg-header.js'

const segment = (marker: number, ...data: number[]): number[] => {
  const length = data.length + 2
  return [0xff, marker, length >> 8, length & 255, ...data]
}
const text = (word: string): number[] => [...word].map(letter => letter.charCodeAt(0))
/** 218 high and 178 wide. */
const frame = (marker: number, precision = 8, components = 3): number[] =>
  segment(marker, precision, 0, 218, 0, 178, components, ...Array<number>(3 * components).fill(0))
const scan = [0xff, 0xda, 0, 2, 1, 2, 3]
const file = (...parts: number[][]): Uint8Array => Uint8Array.from([0xff, 0xd8, ...parts.flat(), ...scan])

const plain = { size: [218, 178], precision: 8, components: 3, hasExif: false, hasProfile: false }

describe('readJpegHeader', () => {
  it.each([
    ['baseline', file(segment(0xe0, ...text('JFIF')), segment(0xdb, 1, 2, 3), frame(0xc0)), {}],
    ['progressive', file(frame(0xc2)), {}],
    ['12 bits', file(frame(0xc1, 12)), { precision: 12 }],
    ['grey', file(frame(0xc0, 8, 1)), { components: 1 }],
    ['CMYK', file(frame(0xc0, 8, 4)), { components: 4 }],
    ["a camera's notes", file(segment(0xe1, ...text('Exif'), 0, 0), frame(0xc0)), { hasExif: true }],
    ['other notes', file(segment(0xe1, ...text('http://')), frame(0xc0)), {}],
    ['a profile', file(segment(0xe2, ...text('ICC_PROFILE'), 0), frame(0xc0)), { hasProfile: true }],
    ['bytes that fill up', file([0xff, 0xff, 0xff], frame(0xc0)), {}],
  ])('reads %s', (_, bytes, differs) => {
    expect(readJpegHeader(bytes)).toEqual({ ...plain, scan: bytes.length - scan.length, ...differs })
  })

  it.each([
    ['an empty file', new Uint8Array(0)],
    ['a PNG file', Uint8Array.of(0x89, 0x50, 0x4e, 0x47)],
    ['a file without a frame', file()],
    ['a lossless file', file(frame(0xc3))],
    ['a file that ends before its scan', file(frame(0xc0)).subarray(0, 20)],
    ['a file that ends within its frame', file(frame(0xc0)).subarray(0, 9)],
    ['a file that ends at once', Uint8Array.of(0xff, 0xd8, 0xff, 0xd9, 0xff, 0xd9)],
    ['a segment that reaches past the end', Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0xff, 0xff)],
  ])('knows nothing of %s', (_, bytes) => {
    expect(readJpegHeader(bytes)).toBeUndefined()
  })

  it('knows an end behind the scan from one before it', () => {
    const thumbnail = file(segment(0xe1, ...text('Exif'), 0xff, 0xd9), frame(0xc0))
    const { scan: at } = readJpegHeader(thumbnail) as JpegHeader
    expect(hasJpegEnd(thumbnail, at)).toBe(false)
    expect(hasJpegEnd(Uint8Array.of(...thumbnail, 0xff, 0xd9), at)).toBe(true)
    expect(hasJpegEnd(Uint8Array.of(...thumbnail, 0xff, 0xd9, 1, 2, 3), at)).toBe(true)
  })

  it('ends on any bytes', () => {
    const start = fc.constantFrom([0xff, 0xd8], [0xff, 0xd8, 0xff, 0xc0], [0xff, 0xd8, 0xff, 0xe1])
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 64 }), (head, rest) => {
        const header = readJpegHeader(Uint8Array.from([...head, ...rest]))
        expect(header === undefined || header.size.every(side => side >= 0 && side < 65536)).toBe(true)
      }),
    )
  })
})
