import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  annealing,
  choice,
  classNumbers,
  imageSize,
  imagesOrShare,
  layerPatterns,
  layerRates,
  numbersByName,
  pixelSize,
  positiveInteger,
  positiveNumber,
  seedNumber,
  share,
} from '../../src/run/setting-values.js'

describe.each([
  [
    numbersByName({ deltaD: z.number().exactOptional(), lStar: z.number().exactOptional() }),
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
  [
    layerPatterns,
    [['stem, group1_*', ['stem', 'group1_*']]],
    ['stem,', ''],
    'It must be names of layers: stem,group1_*.',
  ],
  [
    layerRates,
    [['a/b=0.05', [{ pattern: 'a/b', learningRate: 0.05 }]]],
    ['a', '=1', 'a=', 'a=0', 'a=x', 'a=Infinity'],
    'It must be layers, or a weight of one, and a rate above 0: patch_moe=0.05, logits/router=0.1.',
  ],
  [
    annealing,
    [['64:16:5', { from: 64, to: 16, epochs: 5 }]],
    ['64:16', '64:16:5:1', '64:16:', '8:16:1', '0:0:1', '8:4:1.5'],
    'It must be FROM:TO:EPOCHS in whole numbers, FROM at least TO: 64:16:5.',
  ],
  [
    imagesOrShare,
    [
      ['3', 3],
      ['2.50%', '2.5%'],
    ],
    ['-1', '1.5', '101%', '%', ''],
    'It must be a number of images or a share of them: 3, or 2%.',
  ],
  [choice(['sgd', 'adam']), [['adam', 'adam']], ['', 'Adam', 'lion'], 'It must be one of sgd, adam.'],
] as const)('kind %#', (value, good, bad, message) => {
  test('reads what it allows', () => {
    for (const [text, read] of good) {
      expect(value.read(text)).toEqual(read)
      expect(value.schema.parse(read)).toEqual(read)
    }
  })

  test('refuses the rest, saying what it must be', () => {
    for (const text of bad) expect(() => value.read(text), text).toThrow(new RangeError(message))
  })
})

test('pixelSize refuses a third side', () => {
  expect(() => pixelSize.read('1x2x3')).toThrow(new RangeError('It must be pixels: 4, or 4x2.'))
})
