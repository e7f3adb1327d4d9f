import type { ImageShape } from '../../shapes.js'
import type { ObjectBox } from '../compose/object-box.js'
import { decodeExample, type Example, firstFeatureBytes } from '../formats/example.js'

/** The features of a prepared image: raw pixels, so that reading is a copy; the size, and what is known of it. */
export const imageFeatures = {
  pixels: 'image',
  height: 'height',
  width: 'width',
  channels: 'channels',
  label: 'label',
  group: 'group',
  cell: 'cell',
  box: 'box',
} as const

/** One prepared image. */
export interface PreparedImage {
  /** Pixels 0..255, (height, width, channels). */
  readonly pixels: Uint8Array
  readonly label: number
  readonly group?: number
  /** The cell that shows the labelled class, for composed images. */
  readonly cell?: number
  /** Where the labelled object lies, for images on backgrounds: four integers, top, left, height and width. */
  readonly box?: ObjectBox
}

/**
 * Reads one prepared image.
 *
 * @param data of its record
 * @param shape that it must have
 * @param name of the record, for errors
 * @returns its pixels as a view of `data`
 * @throws RangeError when the data are no Example, a feature is missing, the size or the number of bytes differs, or a
 *   box is not of four integers
 */
export function readPreparedImage(data: Uint8Array, shape: ImageShape, name: string): PreparedImage {
  const example = decodeExample(data, name)
  const size = [imageFeatures.height, imageFeatures.width, imageFeatures.channels].map(key =>
    required(integer(example, key, name), key, name),
  )
  if (size.some((side, axis) => side !== shape[axis])) {
    throw new RangeError(`${name}: image must be ${shape.join('x')}, got ${size.join('x')}`)
  }
  const feature = example.get(imageFeatures.pixels)
  const pixels = feature?.kind === 'bytes' ? feature.values[0] : undefined
  const bytes = shape[0] * shape[1] * shape[2]
  if (pixels?.length !== bytes) {
    throw new RangeError(
      `${name}: image must hold the ${bytes} bytes of ${shape.join('x')} pixels, got ${pixels?.length ?? 'none'}`,
    )
  }
  const group = integer(example, imageFeatures.group, name)
  const cell = integer(example, imageFeatures.cell, name)
  const box = boxOf(example, name)
  return {
    pixels,
    label: required(integer(example, imageFeatures.label, name), imageFeatures.label, name),
    ...(group !== undefined && { group }),
    ...(cell !== undefined && { cell }),
    ...(box && { box }),
  }
}

/** Bytes at the beginning of a record's data that tell where its pixels stand. */
export const pixelHeadBytes = 128

/**
 * Finds the pixels of a prepared image in its record, which begins with them.
 *
 * @param head the first `pixelHeadBytes` of the record's data
 * @param shape that it must have
 * @param name of the record, for errors
 * @returns the byte of the data at which its pixels begin
 * @throws RangeError when the record does not begin with pixels, or has another number of them
 */
export function pixelsAt(head: Uint8Array, shape: ImageShape, name: string): number {
  const first = firstFeatureBytes(head, name)
  const bytes = shape[0] * shape[1] * shape[2]
  if (first?.key === imageFeatures.pixels && first.length === bytes) return first.start
  throw new RangeError(
    `${name}: record must begin with the ${bytes} bytes of ${shape.join('x')} pixels, ` +
      `got ${first ? `${first.length} bytes of ${first.key}` : 'none'}`,
  )
}

function integer(example: Example, key: string, name: string): number | undefined {
  const feature = example.get(key)
  const value = feature?.kind === 'integers' ? feature.values[0] : undefined
  if (typeof value !== 'bigint') return value
  throw new RangeError(`${name}: feature ${key} must be an integer of at most 53 bits, got ${value}`)
}

function boxOf(example: Example, name: string): ObjectBox | undefined {
  const feature = example.get(imageFeatures.box)
  if (!feature) return undefined
  const [top, left, height, width] = feature.kind === 'integers' ? feature.values : []
  const sides = [top, left, height, width].filter(side => typeof side === 'number')
  if (sides.length !== 4 || feature.values.length > 4) {
    throw new RangeError(
      `${name}: box must be 4 integers (top, left, height, width), got ${feature.values.length} ${feature.kind}`,
    )
  }
  return sides as [number, number, number, number]
}

function required(value: number | undefined, key: string, name: string): number {
  if (value !== undefined) return value
  throw new RangeError(`${name}: record must have an integer feature ${key}, got none`)
}
