import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { progressBar } from '../../scripts/terminal/progress-bar.js'
import {
  errorText,
  noteText,
  safeOutput,
  showControlCharacters,
  withControlCharacters,
} from '../../scripts/terminal/safe-output.js'

function terminal(): { stream: NodeJS.WriteStream; written: () => string } {
  const chunks: string[] = []
  const stream = new PassThrough().on('data', chunk => chunks.push(String(chunk)))
  return {
    stream: Object.assign(stream, { isTTY: true, columns: 80 }) as unknown as NodeJS.WriteStream,
    written: () => chunks.join(''),
  }
}

test('a stream shows the control characters of names', () => {
  const { stream, written } = terminal()
  showControlCharacters(stream)
  showControlCharacters(stream)
  stream.write('class \x1b[2Jcat\n')
  stream.write('\x9b31m')
  expect(written()).toBe('class \\x1b[2Jcat\n\\x9b31m')
})

test('a bar moves the cursor, and its text does not', () => {
  const { stream, written } = terminal()
  showControlCharacters(stream)
  const bar = progressBar(stream)
  bar.update(0.5, { title: 'training \x1b[2J', parts: ['of \x1b[31m'] })
  bar.note('class \x1b[2Jcat')
  bar.close()
  expect(written()).toContain('\x1b[')
  expect(written()).toContain('training \\x1b[2J')
  expect(written()).toContain('of \\x1b[31m')
  expect(written()).toContain('class \\x1b[2Jcat')
  expect(written()).not.toContain('\x1b[2J')
})

test('a stream that shows nothing is left as it is', () => {
  const { stream } = terminal()
  expect(withControlCharacters(stream)).toBe(stream)
})

test('lines of JSON stay JSON of the same content', () => {
  const value = { name: '\x9b31m \u202e' }
  const shown = safeOutput(`${JSON.stringify(value)}\n{ \x9b is none\n`)
  const [json, text] = shown.split('\n')
  expect(JSON.parse(json as string)).toEqual(value)
  expect(json).toContain('\\u009b31m \\u202e')
  expect(text).toBe('{ \\x9b is none')
})

test('a newline in a name begins no line of a note; the list below one stays', () => {
  expect(noteText('Left out:\n  a\nDone: all is well\n  b.png')).toBe(
    'Left out:\n  a\\nDone: all is well\n  b.png',
  )
})

test('a newline in a name begins no message of its own', () => {
  expect(errorText('got a\npmoe: all is well\n  b')).toBe('got a\n  pmoe: all is well\n  b')
})
