import { expect, it } from 'vitest'
import {
  bytesText,
  countText,
  giga,
  quartilesText,
  ratiosText,
  ratioText,
  secondsText,
  shareText,
} from '../../../scripts/run/measuring/number-text.js'
import { summarize } from '../../../scripts/run/measuring/statistics.js'

it.each([
  [1.15234, '1.152 s'],
  [0.4567, '457 ms'],
  [0.08431, '84.3 ms'],
  [0.000012, '12.0 µs'],
  [-0.0323, '-32.3 ms'],
])('writes %d s as %s', (seconds, text) => {
  expect(secondsText(seconds)).toBe(text)
})

it('writes ratios so that they can be told from a target of two decimals', () => {
  expect(ratiosText(summarize([0.8236, 0.821, 0.83]))).toBe('0.824 (0.822 - 0.827)')
})

it('keeps the digits of small and large ratios', () => {
  expect([0.00417, 0.0625, 480.99].map(ratioText)).toEqual(['0.0042', '0.063', '481.0'])
})

it('writes quartiles, shares, bytes and counts', () => {
  expect(quartilesText(summarize([1, 2, 3, 4, 5]))).toBe('2.000 s - 4.000 s')
  expect(shareText(0.6716)).toBe('67.2 %')
  expect(bytesText(1.612e9)).toBe('1.61 GB')
  expect(giga(371.24e9)).toBe('371.2')
  expect(countText(7439396.4)).toBe('7,439,396')
})
