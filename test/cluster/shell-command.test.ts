import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { shellCommand } from '../../src/cluster/shell-command.js'

test('a shell takes the command apart into the same words', () => {
  const words = [
    'plain-word_1.x',
    'two words',
    "it's",
    '$HOME',
    '`date`',
    '"',
    '',
    '*',
    'a;b',
    "'",
    'ü',
    '\\',
  ]
  const command = shellCommand(['printf', '%s\\n', ...words])
  expect(execFileSync('sh', ['-c', command], { encoding: 'utf8' }).split('\n').slice(0, -1)).toEqual(words)
})

test('words that need no quotes have none', () => {
  expect(shellCommand(['pmoe', 'train', '--out', 'runs/a-b_c.1'])).toBe('pmoe train --out runs/a-b_c.1')
})
