import { InvalidArgumentError, Option } from 'commander'
import * as values from '../../src/run/setting-values.js'

/**
 * The parser of an option whose value is of one kind.
 *
 * @throws InvalidArgumentError, from the parser, for a text that is no such value
 */
export function optionParser<Value>(value: { read(text: string): Value }): (text: string) => Value {
  return text => {
    try {
      return value.read(text)
    } catch (error) {
      throw error instanceof RangeError ? new InvalidArgumentError(error.message) : error
    }
  }
}

/** Parses an integer of at least 1. */
export const positiveInteger = optionParser(values.positiveInteger)

/** The option of L of a trained network, for commands that ask it. */
export function keptPatchesOption(): Option {
  return new Option(
    '--patches-per-expert <count>',
    'patches that each expert keeps: fewer are faster (default: as in training)',
  ).argParser(positiveInteger)
}

/** Parses an integer of at least 0. */
export const wholeNumber = optionParser(values.wholeNumber)

/** Parses integers of at least 1, by commas. */
export const positiveIntegers = optionParser(values.positiveIntegers)

/** Parses a number above 0. */
export const positiveNumber = optionParser(values.positiveNumber)

/** Parses a number in (0, 1). */
export const openShare = optionParser(values.openShare)

/** Parses an integer in [0, 2^32). */
export const seedNumber = optionParser(values.seedNumber)

/** Parses a size in pixels, `4` or `4x2` (height x width). */
export const pixelSize = optionParser(values.pixelSize)

/** Parses a size in pixels as [height, width]: `64`, or `64x48`. */
export const imageSize = optionParser(values.imageSize)
