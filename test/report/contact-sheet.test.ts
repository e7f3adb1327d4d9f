import { describe, expect, it } from 'vitest'
import { contactSheet, type SheetImage } from '../../src/report/contact-sheet.js'

const images = (count: number, caption = 'cat'): SheetImage[] =>
  Array.from({ length: count }, () => ({ caption }))

describe('contactSheet', () => {
  it('puts images row by row, small ones by a whole factor', () => {
    const { width, height, tiles } = contactSheet({
      title: 't',
      size: [32, 16],
      images: images(10),
      columns: 4,
    })
    // 32 x 3 = 96 pixels high and 16 x 3 wide in columns of 96; 12 between, 30 for the title, 19 for a line below.
    expect(tiles[0]).toEqual({ x: 12, y: 42, width: 48, height: 96 })
    expect(tiles[5]).toEqual({ x: 12 + 108, y: 42 + 96 + 19 + 12, width: 48, height: 96 })
    expect([width, height]).toEqual([12 + 4 * 108, 42 + 3 * 127])
  })

  it('shrinks large images and leaves those of middle size', () => {
    const tileOf = (size: [number, number]) => contactSheet({ title: '', size, images: images(1) }).tiles[0]
    expect(tileOf([640, 320])).toMatchObject({ width: 80, height: 160 })
    expect(tileOf([150, 100])).toMatchObject({ width: 100, height: 150 })
    expect(tileOf([8, 8])).toMatchObject({ width: 96, height: 96 })
  })

  it('outlines a part of an image where that part is drawn', () => {
    const marked = [...images(1), { caption: 'dog', outline: { x: 16, y: 8, width: 16, height: 24 } }]
    const { overlay } = contactSheet({ title: '', size: [32, 32], images: marked })
    // The second image is at (12 + 108, 42), its pixels are squares of 3.
    const place = `x="${120 + 48}" y="${42 + 24}" width="48" height="72"`
    expect(overlay.split(place)).toHaveLength(3)
    expect(overlay.match(/<rect/g)).toHaveLength(2)
  })

  it('writes captions in one or two lines, and makes room for as many as there are', () => {
    const of = (caption: string) => contactSheet({ title: '', size: [96, 96], images: images(1, caption) })
    expect(of('cat').height).toBe(42 + 96 + 19 + 12)
    expect(of('Smiling with Black_Hair').overlay).toContain(
      '>Smiling with</text><text x="12" y="164">Black_Hair</text>',
    )
    expect(of('Smiling with Black_Hair').height).toBe(42 + 96 + 32 + 12)
    expect(of('abcdefghijklmnopqrstuvwxyz0123456789').overlay).toMatch(
      />abcdefghijklmnop<\/text>.*>qrstuvwxyz01234…<\/text>/,
    )
  })

  it('makes names safe', () => {
    const { overlay } = contactSheet({ title: 'a & b', size: [8, 8], images: images(1, '<x> "y"') })
    expect(overlay).toContain('a &amp; b')
    expect(overlay).toContain('&lt;x&gt; &quot;y&quot;')
  })

  it('refuses to show nothing', () => {
    expect(() => contactSheet({ title: '', size: [8, 8], images: [] })).toThrow(
      new RangeError('contactSheet: images must be at least 1, got 0'),
    )
    expect(() => contactSheet({ title: '', size: [8, 8], images: images(1), columns: 0 })).toThrow(
      new RangeError('contactSheet: columns must be a positive integer, got 0'),
    )
  })
})
