import { describe, expect, it } from 'vitest'
import { parseBoxTable } from '../../../src/data/formats/box-table.js'

const parsed = (text: string) => parseBoxTable(new TextEncoder().encode(text), 'boxes.csv')

describe('parseBoxTable', () => {
  it('reads several boxes an image, paths with commas and quotes, and lines that end in any way', () => {
    const table = parsed(
      '﻿image, top, left, height, width\r\ncat/1.jpg,10,20,3,4\n\n"dog/a, b.png",0,0,1,1\r\ncat/1.jpg,-2, 5,9,9\n',
    )
    expect([...table]).toEqual([
      ['cat/1.jpg', Int32Array.of(10, 20, 3, 4, -2, 5, 9, 9)],
      ['dog/a, b.png', Int32Array.of(0, 0, 1, 1)],
    ])
  })

  it.each([
    ['', 'boxes.csv: the first line must be image,top,left,height,width, got ""'],
    ['a.jpg,1,2,3,4', 'boxes.csv: the first line must be image,top,left,height,width, got "a.jpg,1,2,3,4"'],
    [
      'image,top,left,height,width\n',
      'boxes.csv: must have a line for each thing, got none after the first line',
    ],
  ])('refuses a table without a beginning or boxes: %j', (text, message) => {
    expect(() => parsed(text)).toThrow(message)
  })

  it.each(['a.jpg,1,2,3', 'a.jpg,1,2,0,4', 'a.jpg,1,2,3,-4', 'a.jpg,1.5,2,3,4', 'a.jpg,,2,3,4', ',1,2,3,4'])(
    'names the line that is no box: %j',
    line => {
      expect(() => parsed(`image,top,left,height,width\nb.jpg,1,2,3,4\n${line}`)).toThrow(
        `boxes.csv: line 3: must be image,top,left,height,width, four integers of pixels with sides of at least 1, got "${line}"`,
      )
    },
  )
})
