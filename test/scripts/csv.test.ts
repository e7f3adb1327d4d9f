import fc from 'fast-check'
import { expect, test } from 'vitest'
import { csvLine } from '../../scripts/terminal/csv.js'

test.each<[(string | number)[], string]>([
  [['a', 1, 0.25], 'a,1,0.25'],
  [['a,b', 'say "so"', 'two\nlines', ''], '"a,b","say ""so""","two\nlines",'],
  [['=1+1', '@sum', '+x', '-x', '\tx'], "'=1+1,'@sum,'+x,'-x,'\tx"],
  [['-1', '+2.5', -3, 'é'], '-1,+2.5,-3,é'],
  [['=HYPERLINK("x","y")'], '"\'=HYPERLINK(""x"",""y"")"'],
])('%j becomes %s', (values, line) => {
  expect(csvLine(values)).toBe(line)
})

/** The values of a line, read by the grammar of RFC 4180. */
function parsed(line: string): string[] {
  const cells = [...`,${line}`.matchAll(/,(?:"((?:[^"]|"")*)"|([^",]*))/gy)]
  return cells.map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '')
}

test('any text comes back, but for the apostrophe of formulas', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' }), { minLength: 1 }), values => {
      const read = parsed(csvLine(values))
      expect(read.map((text, i) => (text === values[i] ? text : text.slice(1)))).toEqual(values)
      expect(read.filter(text => /^[=@\t\r]/.test(text))).toEqual([])
    }),
  )
})
