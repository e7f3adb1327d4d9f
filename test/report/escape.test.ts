import fc from 'fast-check'
import { expect, test } from 'vitest'
import { escapeHtml, printable, printableJson, printableName } from '../../src/report/escape.js'

test.each([
  ['\x1b[31mred\x1b[2J', '\\x1b[31mred\\x1b[2J'],
  ['bell\x07 back\b null\0 delete\x7f', 'bell\\x07 back\\x08 null\\x00 delete\\x7f'],
  ['C1 \x9b31m', 'C1 \\x9b31m'],
  ['over\rwritten', 'over\\x0dwritten'],
  ['gpj.\u202ecod', 'gpj.\\u202ecod'],
  ['isolated \u2067x\u2069', 'isolated \\u2067x\\u2069'],
  ['half \ud83d', 'half \\ud83d'],
  ['lines\n\tand ümläuts, 日本語, 😀, عربي', 'lines\n\tand ümläuts, 日本語, 😀, عربي'],
])('%j is shown as %j', (text, shown) => {
  expect(printable(text)).toBe(shown)
})

test('a name is shown in one line', () => {
  expect(printableName('new\nline\tand\x1b[2J \r')).toBe('new\\nline\\tand\\x1b[2J \\x0d')
})

test('what is escaped for pages and SVG is text that XML 1.0 knows', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), text => {
      expect(escapeHtml(text)).toMatch(/^[\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]*$/u)
      expect(escapeHtml(text)).not.toMatch(/[<>"']/)
    }),
  )
  expect(escapeHtml('<\x1b>')).toBe('&lt;\\x1b&gt;')
})

test('JSON keeps its content', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme' })), texts => {
      const named = [...texts, 'C1 \x9b, \x7f and \u202e']
      const json = printableJson(JSON.stringify(named))
      expect(printable(json)).toBe(json)
      expect(JSON.parse(json)).toEqual(named)
    }),
  )
})
