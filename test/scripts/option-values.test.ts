import { InvalidArgumentError } from 'commander'
import { describe, expect, test } from 'vitest'
import {
  classNumbers,
  imageSize,
  numberSettings,
  pixelSize,
  positiveInteger,
  positiveNumber,
  seedNumber,
  share,
} from '../../scripts/terminal/option-values.js'

describe.each([
  [
    numberSettings('deltaD', 'lStar'),
    [
      ['deltaD=0.5', { deltaD: 0.5 }],
      ['lStar=6, deltaD=1e-1', { lStar: 6, deltaD: 0.1 }],
    ],
    ['', 'deltaD', 'deltaD=', 'radius=1', 'lStar=many', 'lStar=1=2'],
    'It must be NAME=NUMBER,... of deltaD, lStar.',
  ],
  [
    classNumbers,
    [
      ['3', [3]],
      ['0,1,8,9', [0, 1, 8, 9]],
    ],
    ['', '1,', '-1', '1.5', 'cat'],
    'It must be class numbers: 0,1,8,9.',
  ],
  [
    imageSize,
    [
      ['64', [64, 64]],
      ['64x48', [64, 48]],
    ],
    ['0', '64x', '1x2x3', 'big'],
    'It must be pixels: 4, or 4x2.',
  ],
  [
    positiveInteger,
    [
      ['1', 1],
      ['40', 40],
    ],
    ['0', '-1', '1.5', 'ten', '', ' ', 'Infinity'],
    'It must be a positive integer.',
  ],
  [
    seedNumber,
    [
      ['0', 0],
      ['4294967295', 4294967295],
    ],
    ['-1', '4294967296', '0.5', 'x'],
    'It must be an integer in [0, 2^32).',
  ],
  [
    positiveNumber,
    [
      ['0.1', 0.1],
      ['1e-3', 0.001],
    ],
    ['0', '-0.1', 'Infinity', 'NaN', ''],
    'It must be a number above 0.',
  ],
  [
    share,
    [
      ['0', 0],
      ['0.9', 0.9],
    ],
    ['1', '-0.1', 'half'],
    'It must be a number in [0, 1).',
  ],
  [
    pixelSize,
    [
      ['4', 4],
      ['4x2', [4, 2]],
    ],
    ['4x', 'x2', '0x1', 'four', '', '3x1.5'],
    'It must be pixels: 4, or 4x2.',
  ],
] as const)('%o', (parse, good, bad, message) => {
  test('reads what it allows', () => {
    for (const [text, value] of good) expect(parse(text)).toEqual(value)
  })

  test('refuses the rest, saying what it must be', () => {
    for (const text of bad) expect(() => parse(text), text).toThrow(new InvalidArgumentError(message))
  })
})

test('pixelSize refuses a third side', () => {
  expect(() => pixelSize('1x2x3')).toThrow(new InvalidArgumentError('It must be pixels: 4, or 4x2.'))
})
