import type { ByteSource, DataSource } from '../data-source.js'
import { decodeExample, type Example } from '../formats/example.js'
import { recordFiles } from '../formats/record-files.js'
import { footBytes, headBytes, readRecords, splitRecords } from '../formats/tfrecord.js'
import { recordShards } from '../formats/tfrecord-shards.js'

/** The records of one part of a dataset of TensorFlow Datasets: their numbers, and where their images are. */
export interface TfdsRecords<Feature extends string> {
  readonly count: number
  /** Of each feature asked for: (count) its integers. */
  readonly integers: Readonly<Record<Feature, Int32Array>>
  /** File and number of a record, as errors quote it. */
  name(row: number): string
  /** The bytes of a record's image file. */
  image(row: number): Promise<Uint8Array>
}

/**
 * The folder of a dataset of TensorFlow Datasets in a source: the source itself, the dataset's folder in it, or the
 * highest version in one of these.
 *
 * @param dataset its name there: `celeb_a`
 * @returns undefined when there is none
 */
export async function tfdsFolder(source: DataSource, dataset: string): Promise<string | undefined> {
  const top = await source.list('')
  const folders = top.includes(`${dataset}/`) ? ['', `${dataset}/`] : ['']
  for (const folder of folders) {
    const names = folder === '' ? top : await source.list(folder)
    const versions = names.filter(name => /^\d+\.\d+\.\d+\/$/.test(name)).sort(byVersion)
    for (const inner of ['', ...versions.slice(-1)]) {
      const files = inner === '' ? names : await source.list(folder + inner)
      if (files.some(file => file.startsWith(`${dataset}-`) && file.includes('.tfrecord')))
        return folder + inner
    }
  }
  return undefined
}

/** Whether a source holds a dataset of TensorFlow Datasets; looks at names alone. */
export async function hasTfds(source: DataSource, dataset: string): Promise<boolean> {
  return (await tfdsFolder(source, dataset).catch(() => undefined)) !== undefined
}

/**
 * Goes through the records of one part once, keeping the integers of some features and where each record is. Files
 * that are compressed with GZIP or ZLIB are held in memory, decompressed.
 *
 * @param folder of the dataset, as {@link tfdsFolder} finds it
 * @param stem `celeb_a-train`
 * @throws Error naming shards that are missing; RangeError with file and record when one is damaged, or has not one
 *   integer in a feature asked for
 */
export async function openTfdsRecords<Feature extends string>(
  source: DataSource,
  folder: string,
  stem: string,
  features: readonly Feature[],
): Promise<TfdsRecords<Feature>> {
  const sets = await recordShards(source, folder)
  const shards = sets.find(set => /^\.tfrecord(\.gz)?$/.test(afterStem(set.stem, stem)))
  if (!shards) {
    const stems = sets.map(set => set.stem).join(', ') || 'none'
    throw new Error(`${source.describe(folder)}: folder must hold ${stem}.tfrecord, got ${stems}`)
  }
  const columns = Object.fromEntries(features.map(feature => [feature, [] as number[]]))
  const places: RecordPlace[] = []
  const openFile = recordFiles(source)
  for (const path of shards.paths) {
    const name = source.describe(path)
    await withFile(openFile, path, async file => {
      for await (const { first, records, offsets } of readRecords(file, name)) {
        for (const [i, record] of records.entries()) {
          const place = { path, number: first + i, offset: offsets[i] as number, length: record.length }
          const example = decodeExample(record, recordName(source, place))
          for (const feature of features) {
            columns[feature]?.push(integer(example, feature, recordName(source, place)))
          }
          places.push(place)
        }
      }
    })
  }
  const integers = features.map(feature => [feature, Int32Array.from(columns[feature] as number[])])
  return {
    count: places.length,
    integers: Object.fromEntries(integers) as Record<Feature, Int32Array>,
    name: row => recordName(source, places[row] as RecordPlace),
    image: row => imageOf(source, openFile, places[row] as RecordPlace),
  }
}

interface RecordPlace {
  readonly path: string
  /** In its file, from 0. */
  readonly number: number
  /** Where its head starts in the file, in bytes. */
  readonly offset: number
  /** Bytes of its data. */
  readonly length: number
}

/** What follows the name of a part in that of its files: `.tfrecord`. */
function afterStem(name: string, stem: string): string {
  return name.startsWith(stem) ? name.slice(stem.length) : ''
}

async function imageOf(source: DataSource, openFile: OpenFile, place: RecordPlace): Promise<Uint8Array> {
  const { path, number, offset, length } = place
  const bytes = await withFile(openFile, path, file =>
    file.slice(offset, offset + headBytes + length + footBytes),
  )
  const [record] = splitRecords(bytes, { name: source.describe(path), first: number, offset })
  const name = recordName(source, place)
  const image = decodeExample(record as Uint8Array, name).get('image')
  const [encoded, ...others] = image?.kind === 'bytes' ? image.values : []
  if (encoded && others.length === 0) return encoded
  throw new RangeError(`${name}: feature image must be the bytes of one image, got ${valueText(image)}`)
}

function integer(example: Example, feature: string, name: string): number {
  const value = example.get(feature)
  const [number, ...others] = value?.kind === 'integers' ? value.values : []
  if (number !== undefined && others.length === 0) {
    if (typeof number === 'number' && (number | 0) === number) return number
    throw new RangeError(`${name}: feature ${feature} must be a 32-bit integer, got ${number}`)
  }
  throw new RangeError(`${name}: feature ${feature} must be one integer, got ${valueText(value)}`)
}

function valueText(value: ReturnType<Example['get']>): string {
  return value ? `${value.values.length} ${value.kind}` : 'none'
}

function recordName(source: DataSource, { path, number }: RecordPlace): string {
  return `${source.describe(path)}, record ${number}`
}

type OpenFile = (path: string) => Promise<ByteSource>

async function withFile<T>(
  openFile: OpenFile,
  path: string,
  use: (file: ByteSource) => Promise<T>,
): Promise<T> {
  const file = await openFile(path)
  try {
    return await use(file)
  } finally {
    await file.close()
  }
}

function byVersion(a: string, b: string): number {
  const [left, right] = [a, b].map(version => version.split('.').map(part => Number.parseInt(part, 10)))
  for (let i = 0; i < 3; i++) {
    const difference = (left?.[i] as number) - (right?.[i] as number)
    if (difference !== 0) return difference
  }
  return 0
}
