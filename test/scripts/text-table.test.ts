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
