import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readAttributes, readPartition } from '../../../../src/data/datasets/celeba/tables.js'
import { attributeNames, attributesCsv, attributesText, faceRows, partitionText } from '../../celeba-files.js'

const file = (text: string, name = 'a.txt') => ({ name, bytes: new TextEncoder().encode(text) })

/** Three columns instead of forty. */
const small = '2\nSmiling Young Bald \n000001.jpg -1  1  1\n000002.jpg  1 -1 -1\n'
const smallCsv = 'Young,image_id,Smiling\n1,000001.jpg,-1\n-1,000002.jpg,1\n'

describe('readAttributes', () => {
  it('looks columns up by name', () => {
    const table = readAttributes(file(small), ['Bald', 'Smiling'])
    expect(table.images).toEqual(['000001.jpg', '000002.jpg'])
    expect(table.columns).toEqual({ Bald: Int8Array.of(1, -1), Smiling: Int8Array.of(-1, 1) })
    expect(table.line(0)).toBe(3)
  })

  it('reads CSV with its columns in any order', () => {
    const table = readAttributes(file(smallCsv, 'a.CSV'), ['Smiling'])
    expect(table.images).toEqual(['000001.jpg', '000002.jpg'])
    expect([...table.columns.Smiling]).toEqual([-1, 1])
    expect(table.line(1)).toBe(3)
  })

  it('reads the same from text and CSV, however their lines end', () => {
    const property = fc.property(
      fc.integer({ min: 1, max: 30 }),
      fc.nat(),
      fc.constantFrom('\n', '\r\n', '\r'),
      (count, seed, end) => {
        const rows = faceRows(count, seed)
        const expected = rows.map(({ has }) => (has.includes('Eyeglasses') ? 1 : -1))
        const tables = [
          readAttributes(file(attributesText(rows, end)), ['Eyeglasses']),
          readAttributes(file(`\ufeff${attributesCsv(rows, end)}${end}`, 'a.csv'), ['Eyeglasses']),
        ]
        for (const { images, columns } of tables) {
          expect(images).toEqual(rows.map(({ image }) => image))
          expect([...columns.Eyeglasses]).toEqual(expected)
        }
      },
    )
    fc.assert(property, { numRuns: 40 })
  })

  const wrong: readonly [string, string, string][] = [
    [
      'no number of images',
      small.replace('2\n', 'two\n'),
      'a.txt: line 1 must be the number of images, got "two"',
    ],
    [
      'another number of images',
      small.replace('2\n', '3\n'),
      'a.txt: line 1 must be the number of images, got 3 (2 lines of images)',
    ],
    ['only a number', '5\n', 'a.txt: line 1 must be the number of images, got 5 (0 lines of images)'],
    [
      'a missing column',
      small.replace('Smiling', 'Frowning'),
      'a.txt: line 2 must name one column Smiling, got none (4 columns: image_id, Frowning, Young, Bald)',
    ],
    [
      'a column that comes twice',
      small.replace('Young', 'Smiling'),
      'a.txt: line 2 must name one column Smiling, got several (4 columns: image_id, Smiling, Smiling, Bald)',
    ],
    [
      'a value too few',
      small.replace('-1 -1', '-1'),
      'a.txt: line 4 must have 4 values, got 3 ("000002.jpg  1 -1")',
    ],
    [
      'a value too many',
      small.replace('1  1', '1  1 1'),
      'a.txt: line 3 must have 4 values, got 5 ("000001.jpg -1  1 1  1")',
    ],
    [
      'an empty line among the others',
      small.replace('2\n', '3\n').replace('000002', '\n000002'),
      'a.txt: line 4 must have 4 values, got 0 ("")',
    ],
    [
      'an unknown value, though of no use here',
      small.replace('1 -1 -1', '1 -1 0'),
      'a.txt: line 4 (000002.jpg): Bald must be -1 or 1, got "0"',
    ],
    [
      'an image that comes twice',
      small.replace('000002', '000001'),
      'a.txt: images must come once, got 000001.jpg in line 3 and in line 4',
    ],
    [
      'a name that leads elsewhere',
      small.replace('000002.jpg', '../secret'),
      'a.txt: line 4 must name an image file, got "../secret"',
    ],
    ['nothing', ' \n\n', 'a.txt: table must have lines of images, got an empty file'],
    ['no images', '0\nSmiling\n', 'a.txt: table must have lines of images, got none'],
  ]
  it.each(wrong)('refuses %s', (_, text, message) => {
    expect(() => readAttributes(file(text), ['Smiling'])).toThrow(new RangeError(message))
  })

  it('refuses CSV without names of images, or with other values', () => {
    expect(() => readAttributes(file(smallCsv.replace('image_id', 'id'), 'a.csv'), ['Smiling'])).toThrow(
      new RangeError('a.csv: line 1 must name one column image_id, got none (3 columns: Young, id, Smiling)'),
    )
    expect(() => readAttributes(file(smallCsv.replace(',1\n', ',True\n'), 'a.csv'), ['Smiling'])).toThrow(
      new RangeError('a.csv: line 3 (000002.jpg): Smiling must be -1 or 1, got "True"'),
    )
  })

  it('shortens long lines in errors', () => {
    const text = attributesText(faceRows(2)).replace('000002.jpg', '000002.jpg x')
    expect(() => readAttributes(file(text), ['Smiling'])).toThrow(
      /^a\.txt: line 4 must have 41 values, got 42 \("000002\.jpg x .{107}\.\.\."\)$/,
    )
    expect(attributeNames.length).toBe(40)
  })
})

describe('readPartition', () => {
  it('reads text and CSV', () => {
    const rows = faceRows(9)
    const expected = rows.map(({ part }) => part)
    expect([...readPartition(file(partitionText(rows, ' ', '\r\n'))).columns.partition]).toEqual(expected)
    const csv = readPartition(file(`image_id,partition\n${partitionText(rows, ',')}`, 'p.csv'))
    expect([...csv.columns.partition]).toEqual(expected)
    expect(csv.line(0)).toBe(2)
  })

  it('refuses other parts and other tables', () => {
    expect(() => readPartition(file('1.jpg 0\n2.jpg 3\n'))).toThrow(
      new RangeError('a.txt: line 2 (2.jpg): partition must be 0, 1 or 2, got "3"'),
    )
    expect(() => readPartition(file('1.jpg\n'))).toThrow(
      new RangeError('a.txt: line 1 must have 2 values, got 1 ("1.jpg")'),
    )
    expect(() => readPartition(file('image_id,split\n1.jpg,0\n', 'p.csv'))).toThrow(
      new RangeError('p.csv: line 1 must name one column partition, got none (2 columns: image_id, split)'),
    )
  })
})
