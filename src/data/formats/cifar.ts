/**
 * Reads the binary version of CIFAR: records of one or more label bytes and a planar 32x32 RGB image.
 *
 * Reference: the section "Binary version" of https://www.cs.toronto.edu/~kriz/cifar.html
 */
import type { DataSource } from '../data-source.js'
import { listedFolders } from '../datasets/file-search.js'
import { unreadFiles } from '../datasets/unread-files.js'
import type { PixelSet } from '../image-set.js'

/** What tells the CIFAR datasets apart. */
export interface CifarFormat {
  /** The label bytes at the start of each record, in order, and how many classes each knows. */
  readonly labels: readonly { readonly name: string; readonly numClasses: number }[]
  /** Which of `labels` is the class of an image. */
  readonly target: number
  /** Names of the target's classes. */
  readonly classNames: readonly string[]
  /** The folder that the distributed archive unpacks to. */
  readonly folder: string
  readonly trainFiles: readonly string[]
  readonly testFiles: readonly string[]
}

/** CIFAR-10: one label byte, five training files of 10,000 records and one test file. */
export const cifar10Format: CifarFormat = {
  labels: [{ name: 'label', numClasses: 10 }],
  target: 0,
  classNames: ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'],
  folder: 'cifar-10-batches-bin',
  trainFiles: [1, 2, 3, 4, 5].map(number => `data_batch_${number}.bin`),
  testFiles: ['test_batch.bin'],
}

const side = 32
const plane = side * side
const imageBytes = 3 * plane

/** The bytes of one file, and its name for errors. */
export interface NamedBytes {
  readonly name: string
  readonly bytes: Uint8Array
}

/**
 * Reads the records of one or more CIFAR files into one set.
 *
 * @param files whole files; the records are kept in their order
 * @param format labels and class names of the records
 * @returns images (count, 32, 32, 3): the planes of a record are interleaved
 * @throws RangeError with file, record and byte offset when a file is empty or cut short, or a label out of
 *   range
 */
export function readCifar(files: readonly NamedBytes[], format: CifarFormat): PixelSet {
  const recordBytes = format.labels.length + imageBytes
  for (const file of files) checkRecords(file, format)
  const count = files.reduce((sum, { bytes }) => sum + bytes.length / recordBytes, 0)
  const images = new Uint8Array(count * imageBytes)
  const labels = new Int32Array(count)
  let record = 0
  for (const { bytes } of files) {
    for (let start = 0; start < bytes.length; start += recordBytes) {
      labels[record] = bytes[start + format.target] as number
      interleave(bytes, start + format.labels.length, images, record * imageBytes)
      record++
    }
  }
  return { images, labels, count, shape: [side, side, 3], classNames: format.classNames }
}

/**
 * Loads a CIFAR dataset from the folder of its binary version, or from a folder that contains that one.
 *
 * @throws Error when a file is missing, RangeError when one is damaged
 */
export async function loadCifar(
  source: DataSource,
  format: CifarFormat,
): Promise<{ train: PixelSet; test: PixelSet }> {
  const { prefix, missing } = await findCifar(source, format)
  if (missing.length > 0) {
    const unread = await unreadFiles(source)
    throw new Error(
      `${source.describe('')}: folder must hold the binary version of ${format.folder}, got no ${missing.join(', ')}` +
        `${unread && ` (${unread})`}`,
    )
  }
  const readSet = async (files: readonly string[]): Promise<PixelSet> => {
    const named: NamedBytes[] = []
    for (const file of files) {
      const path = prefix + file
      named.push({ name: source.describe(path), bytes: await source.read(path) })
    }
    return readCifar(named, format)
  }
  return { train: await readSet(format.trainFiles), test: await readSet(format.testFiles) }
}

/**
 * Where in a source the files of a CIFAR dataset are: in the source itself, or in a folder of the name that its archive
 * unpacks to. Looks at names alone.
 *
 * @returns the folder, ending in `/` (empty for the source itself), and the paths of the files that it lacks
 */
export async function findCifar(
  source: DataSource,
  format: CifarFormat,
): Promise<{ readonly prefix: string; readonly missing: readonly string[] }> {
  const files = [...format.trainFiles, ...format.testFiles]
  const folders = await listedFolders(source)
  const possible = folders
    .filter(({ path }) => path === '' || path.split('/').at(-2) === format.folder)
    .map(({ path, names }) => ({ prefix: path, missing: files.filter(file => !names.includes(file)) }))
  const best = possible.reduce((a, b) => (b.missing.length < a.missing.length ? b : a))
  return { prefix: best.prefix, missing: best.missing.map(file => best.prefix + file) }
}

function checkRecords({ name, bytes }: NamedBytes, format: CifarFormat): void {
  const recordBytes = format.labels.length + imageBytes
  const extraBytes = bytes.length % recordBytes
  if (bytes.length === 0 || extraBytes !== 0) {
    const wholeRecords = (bytes.length - extraBytes) / recordBytes
    throw new RangeError(
      `${name}: file must hold whole records of ${recordBytes} bytes, got ${bytes.length} bytes ` +
        `(${wholeRecords} records, then ${extraBytes} bytes from byte ${wholeRecords * recordBytes})`,
    )
  }
  for (let start = 0; start < bytes.length; start += recordBytes) {
    format.labels.forEach((field, i) => {
      const label = bytes[start + i] as number
      if (label < field.numClasses) return
      throw new RangeError(
        `${name}: ${field.name} at byte ${start + i} must be in [0, ${field.numClasses - 1}], ` +
          `got ${label} (record ${start / recordBytes})`,
      )
    })
  }
}

/** Planes R, G, B of one record -> (32, 32, 3). */
function interleave(bytes: Uint8Array, from: number, images: Uint8Array, to: number): void {
  for (let pixel = 0; pixel < plane; pixel++) {
    const target = to + 3 * pixel
    images[target] = bytes[from + pixel] as number
    images[target + 1] = bytes[from + plane + pixel] as number
    images[target + 2] = bytes[from + 2 * plane + pixel] as number
  }
}
