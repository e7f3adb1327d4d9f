import { expect, test } from 'vitest'
import { textTable } from '../../scripts/terminal/text-table.js'

test('columns are as wide as their widest cell, numbers to the right', () => {
  const table = textTable(
    ['model', 'accuracy'],
    [
      ['a long name', '9%'],
      ['b', '100.0%'],
    ],
  )
  expect(table).toBe(`model        accuracy
-----------  --------
a long name        9%
b              100.0%`)
})

test('columns that do not fit are left out from the right, the first never', () => {
  const table = (most: number) => textTable(['a', 'bb', 'ccc'], [['1', '2', '3']], most).split('\n')[0]
  expect([10, 9, 7, 6, 5, 4, 0].map(table)).toEqual([
    'a  bb  ccc',
    'a  bb',
    'a  bb',
    'a  bb',
    'a  bb',
    'a',
    'a',
  ])
})

test('names are shown in one line, and measured as they are drawn', () => {
  const table = textTable(
    ['class', 'n'],
    [
      ['new\nline', '1'],
      ['\x1b[2J', '20'],
      ['猫', '3'],
      ['e\u0301te', '4'],
    ],
  )
  expect(table).toBe(`class       n
---------  --
new\\nline   1
\\x1b[2J    20
猫          3
e\u0301te         4`)
})
