/**
 * Reads IDX files, the format of MNIST and Fashion-MNIST: big-endian header, then one byte an element.
 *
 * Reference: the format section of http://yann.lecun.com/exdb/mnist/
 */

import { shapeSize } from '../../shapes.js'
import type { DataSource } from '../data-source.js'
import { findIdx, type IdxHalf } from '../datasets/idx-files.js'
import type { PixelSet } from '../image-set.js'
import { gunzip, isGzip } from './gzip.js'

/** Grey images of an IDX file. */
export interface IdxImages {
  /** Pixels 0..255, (count, height, width), row-major; a view of the bytes that were read. */
  readonly images: Uint8Array
  readonly count: number
  readonly height: number
  readonly width: number
}

const imagesMagic = 0x00000803
const labelsMagic = 0x00000801

/**
 * Reads the images of an IDX file.
 *
 * @param bytes the whole file, decompressed
 * @param name the file's name, for errors
 * @throws RangeError with the byte offset when the magic number, a size of 0, or the file's length is wrong
 */
export function readIdxImages(bytes: Uint8Array, name: string): IdxImages {
  const [count, height, width] = readHeader(bytes, name, imagesMagic, ['images', 'rows', 'columns'])
  return {
    images: bytes.subarray(16),
    count: count as number,
    height: height as number,
    width: width as number,
  }
}

/**
 * Reads the labels of an IDX file.
 *
 * @param bytes the whole file, decompressed
 * @param name the file's name, for errors
 * @param numClasses labels must be below it
 * @returns (count) labels; a view of the bytes
 * @throws RangeError with the byte offset when the magic number, the count, the file's length or a label is
 *   wrong
 */
export function readIdxLabels(bytes: Uint8Array, name: string, numClasses = 256): Uint8Array {
  readHeader(bytes, name, labelsMagic, ['labels'])
  const labels = bytes.subarray(8)
  const wrong = labels.findIndex(label => label >= numClasses)
  if (wrong >= 0) {
    throw new RangeError(
      `${name}: label at byte ${8 + wrong} must be in [0, ${numClasses - 1}], got ${labels[wrong]} (label ${wrong})`,
    )
  }
  return labels
}

/**
 * Loads one half of an IDX dataset, from plain or gzip files, under the names that they are distributed by. Images are
 * as they are stored: those of EMNIST lie on their sides.
 *
 * @param source a folder with `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-...`, as {@link findIdx}
 *   finds them
 * @param half `train`, or `t10k` for the test half
 * @param classNames names of the labels
 * @returns grey images, (count, height, width, 1)
 * @throws Error when a file is missing or there are several datasets, RangeError when a file is damaged or the two
 *   disagree
 */
export async function loadIdx(
  source: DataSource,
  half: IdxHalf,
  classNames: readonly string[],
): Promise<PixelSet> {
  const files = await findIdx(source, half)
  const imagesFile = await readPlainOrGzip(source, files.images)
  const labelsFile = await readPlainOrGzip(source, files.labels)
  const { images, count, height, width } = readIdxImages(imagesFile.bytes, imagesFile.name)
  const labels = readIdxLabels(labelsFile.bytes, labelsFile.name, classNames.length)
  if (labels.length !== count) {
    throw new RangeError(
      `${labelsFile.name}: number of labels at byte 4 must be ${count}, as ${imagesFile.name} has images, ` +
        `got ${labels.length}`,
    )
  }
  return { images, labels: Int32Array.from(labels), count, shape: [height, width, 1], classNames }
}

async function readPlainOrGzip(
  source: DataSource,
  path: string,
): Promise<{ bytes: Uint8Array; name: string }> {
  const name = source.describe(path)
  const bytes = await source.read(path)
  return { bytes: isGzip(bytes) ? await gunzip(bytes, name) : bytes, name }
}

/** Checks magic number, sizes and the file's length, and returns the sizes. */
function readHeader(bytes: Uint8Array, name: string, magic: number, axes: readonly string[]): number[] {
  const headerBytes = 4 + 4 * axes.length
  if (bytes.length < headerBytes) {
    throw new RangeError(
      `${name}: header at byte 0 must take ${headerBytes} bytes, got a file of ${bytes.length}`,
    )
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const storedMagic = view.getUint32(0)
  if (storedMagic !== magic) {
    throw new RangeError(`${name}: magic number at byte 0 must be ${hex(magic)}, got ${hex(storedMagic)}`)
  }
  const sizes = axes.map((axis, i) => {
    const size = view.getUint32(4 + 4 * i)
    if (size === 0) {
      throw new RangeError(`${name}: number of ${axis} at byte ${4 + 4 * i} must be at least 1, got 0`)
    }
    return size
  })
  const expected = headerBytes + shapeSize(sizes)
  if (bytes.length !== expected) {
    const stated = sizes.map((size, i) => `${size} ${axes[i]}`).join(' x ')
    throw new RangeError(
      `${name}: file must end at byte ${expected}, got ${bytes.length} bytes (header states ${stated})`,
    )
  }
  return sizes
}

function hex(word: number): string {
  return `0x${word.toString(16).padStart(8, '0')}`
}
