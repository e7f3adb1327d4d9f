import { createHash } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { boxAt } from '../../data/compose/object-box.js'
import type { DataSource } from '../../data/data-source.js'
import type { DatasetOptions, HalfName, ImageDataset } from '../../data/datasets/dataset.js'
import { shardFile } from '../../data/formats/tfrecord-shards.js'
import type { DecodeImage } from '../../data/image-decoding.js'
import { ImageNotes } from '../../data/image-notes.js'
import type { PreparedImage } from '../../data/prepared/encoded-image.js'
import { writeIndex } from '../../data/prepared/index-file.js'
import {
  manifestText,
  type PreparedHalf,
  type PreparedManifest,
  parseManifest,
} from '../../data/prepared/manifest.js'
import type { OpenRegions } from '../../data/regions/region-source.js'
import {
  type UnreadableImage,
  UnreadableImages,
  type UnreadableLimit,
  unreadableText,
} from '../../data/unreadable-images.js'
import { isPositiveInteger } from '../../shapes.js'
import { writeFileAtomic } from '../atomic.js'
import { dataFolder } from '../data-folder.js'
import { refuseLocked } from '../lock.js'
import { orderedWork } from './ordered-work.js'
import { type InputHalf, type PrepareInput, prepareInput } from './prepare-input.js'
import { type FinishedShard, type PrepareState, takeFolder } from './prepare-state.js'
import { readShardRecords, type ShardRecords, writeShard } from './shard.js'
import { unscaledInput } from './unscaled-input.js'

/** What is to be prepared, and how. */
export interface PrepareRequest {
  readonly entry: ImageDataset
  readonly source: DataSource
  readonly options: DatasetOptions
  /** Decodes image files, for datasets that have any. */
  readonly decode: DecodeImage
  /** The folder to fill. */
  readonly directory: string
  /**
   * Opens image files to be read in parts: images then keep their size, on the canvas of the largest height and width, in the place of
   * being decoded to one size. For datasets that can be read in parts.
   */
  readonly unscaled?: OpenRegions
  /** Records a file; by default so many that a file has about 16 MiB. A killed preparation loses at most one file. */
  readonly recordsPerShard?: number
  /**
   * Images that may be unreadable before preparing stops: a number, or a share of all; by default that of the options,
   * or else `'1%'`.
   */
  readonly maxUnreadable?: UnreadableLimit
  /** Images that are decoded at a time; 4 a core by default. */
  readonly inFlight?: number
  /** Replaces what was prepared in the folder. */
  readonly force?: boolean
  /** Stops at once; what is finished stays. */
  readonly signal?: AbortSignal
  onProgress?(progress: PrepareProgress): void
  /**
   * Called at the end with what was found, left out or changed, a sentence each; only on images that this call decoded.
   */
  onNotes?(notes: readonly string[]): void
}

/** How far preparing is. */
export interface PrepareProgress {
  /** Images that are stored, or cannot be decoded. */
  readonly done: number
  readonly total: number
  /** Those of them that an earlier, unfinished call had stored. */
  readonly kept: number
  /** The images that could not be decoded so far. */
  readonly unreadable: readonly UnreadableImage[]
}

const defaultShardBytes = 2 ** 24
/** Bytes of images that are decoded at a time, unless a single one is larger. */
const decodedBytes = 2 ** 28

/**
 * Decodes or composes the images of a dataset once, and stores them as files of records with checksums, an index and a
 * manifest, in the order whose beginnings are the smaller sets.
 *
 * A call that was killed or stopped goes on where it was when it is called again, file by file, and ends in the same
 * bytes as an uninterrupted one. Memory holds a few images, whatever their number; datasets that are not image files are
 * loaded whole.
 *
 * @returns what the manifest says
 * @throws RangeError when an option is out of range, or as the dataset throws
 * @throws Error when the folder holds something else or cannot be written, or more images than `maxUnreadable` cannot
 *   be decoded, naming them; the signal's reason when stopped
 */
export async function prepareDataset(request: PrepareRequest): Promise<PreparedManifest> {
  const { entry, source, options, decode, directory, unscaled, force = false } = request
  checkRequest(request)
  await refuseLocked(directory, 'prepareDataset')
  const notes = new ImageNotes()
  const input = unscaled
    ? await unscaledInput(entry, source, { ...options, openRegions: unscaled })
    : await prepareInput(entry, source, options, notes.listen(decode))
  const recordsPerShard = request.recordsPerShard ?? shardRecordsOf(input)
  const described = { ...describedOptions(options), ...(unscaled && { unscaled: true }) }
  const job = { dataset: entry.name, options: described, source: source.describe(''), recordsPerShard }
  const files = halfNames(input).flatMap(half => [
    ...shardFiles(half, input, recordsPerShard),
    indexFile(half),
  ])
  const state = await takeFolder(directory, job, input, files, force)
  try {
    const work = new Preparation(request, input, state, recordsPerShard)
    const train = await work.half('train')
    const validation = input.validation && (await work.half('validation'))
    const test = await work.half('test')
    const { shape, classNames, groupNames, cells, objectBoxes } = input
    const text = manifestText({
      dataset: entry.name,
      options: described,
      source: job.source,
      shape,
      classNames,
      ...(groupNames && { groupNames }),
      ...(cells && { cells }),
      ...(objectBoxes && { objectBoxes }),
      train,
      ...(validation && { validation }),
      test,
    })
    const manifest = parseManifest(text, directory)
    await state.finish(text)
    const leftOut = input.unreadable.map(image => `Left out: ${unreadableText(image)}`)
    request.onNotes?.([...input.notes, ...leftOut, ...notes.lines])
    return manifest
  } finally {
    await state.release()
  }
}

function halfNames({ validation }: PrepareInput): readonly HalfName[] {
  return validation ? ['train', 'validation', 'test'] : ['train', 'test']
}

/** The files of records of a half, in their order. */
function shardFiles(half: HalfName, input: PrepareInput, recordsPerShard: number): string[] {
  const shards = Math.ceil((input[half] as InputHalf).count / recordsPerShard)
  return Array.from({ length: shards }, (_, number) => shardFile(half, number, shards, '.tfrecord'))
}

function indexFile(half: HalfName): string {
  return `${half}.index.safetensors`
}

function checkRequest({ recordsPerShard = 1, inFlight = 1 }: PrepareRequest): void {
  for (const [option, value] of Object.entries({ recordsPerShard, inFlight })) {
    if (isPositiveInteger(value)) continue
    throw new RangeError(`prepareDataset: ${option} must be a positive integer, got ${value}`)
  }
}

function shardRecordsOf({ shape }: PrepareInput): number {
  return Math.max(1, Math.floor(defaultShardBytes / (shape[0] * shape[1] * shape[2])))
}

/** The options as a manifest keeps them. */
function describedOptions({
  decode: _,
  maxUnreadable: __,
  backgrounds,
  ...options
}: DatasetOptions): PreparedManifest['options'] {
  return { ...options, ...(backgrounds && { backgrounds: backgrounds.describe('') }) }
}

/** The work on one folder. */
class Preparation {
  private readonly request: PrepareRequest
  private readonly input: PrepareInput
  private readonly state: PrepareState
  private readonly recordsPerShard: number
  private readonly unreadable: UnreadableImages
  private readonly total: number
  private done = 0
  private kept = 0

  constructor(request: PrepareRequest, input: PrepareInput, state: PrepareState, recordsPerShard: number) {
    this.request = request
    this.input = input
    this.state = state
    this.recordsPerShard = recordsPerShard
    const { train, validation, test } = input
    const limit = request.maxUnreadable ?? request.options.maxUnreadable
    this.total = train.count + (validation?.count ?? 0) + test.count
    this.unreadable = new UnreadableImages('prepareDataset', this.total, limit)
  }

  /** Stores the images of a half. */
  async half(name: HalfName): Promise<PreparedHalf> {
    const images = this.input[name] as InputHalf
    const finished: FinishedShard[] = []
    const records: ShardRecords[] = []
    for (const [number, file] of shardFiles(name, this.input, this.recordsPerShard).entries()) {
      const shard = (await this.keptShard(file)) ?? (await this.newShard(file, images, number))
      finished.push(shard.finished)
      records.push(shard.known)
    }
    return this.describe(name, finished, records)
  }

  /** A shard that an earlier call finished, where it is whole. */
  private async keptShard(
    file: string,
  ): Promise<{ finished: FinishedShard; known: ShardRecords } | undefined> {
    const finished = this.state.finished.get(file)
    if (!finished) return undefined
    this.request.signal?.throwIfAborted()
    const known = await this.readBack(finished)
    if (!known) return undefined
    this.unreadable.images.push(...finished.unreadable)
    this.unreadable.check()
    const images = finished.records + finished.unreadable.length
    this.done += images
    this.kept += images
    this.reportProgress()
    return { finished, known }
  }

  private async readBack({ file, bytes, records }: FinishedShard): Promise<ShardRecords | undefined> {
    const folder = dataFolder(this.state.directory)
    if (!(await folder.exists(file))) return undefined
    const source = await folder.open(file)
    try {
      const known = await readShardRecords(source, folder.describe(file), this.input.shape)
      return source.length === bytes && known.labels.length === records ? known : undefined
    } catch (error) {
      // A damaged shard is written anew.
      if (error instanceof RangeError) return undefined
      throw error
    } finally {
      await source.close()
    }
  }

  private async newShard(
    file: string,
    images: InputHalf,
    number: number,
  ): Promise<{ finished: FinishedShard; known: ShardRecords }> {
    const first = number * this.recordsPerShard
    const count = Math.min(this.recordsPerShard, images.count - first)
    const before = this.unreadable.images.length
    const readable = this.readable(images, first, count)
    const written = await writeShard(join(this.state.directory, file), readable, this.input.shape)
    const { known, bytes, sha256 } = written
    const unreadable = this.unreadable.images.slice(before)
    const finished = { file, records: known.labels.length, bytes, sha256, unreadable }
    await this.state.add(finished)
    return { finished, known }
  }

  /** The images of a shard that can be decoded, in their order; several are decoded at a time. */
  private async *readable(
    images: InputHalf,
    first: number,
    count: number,
  ): AsyncGenerator<PreparedImage, void, undefined> {
    const [height, width, channels] = this.input.shape
    const fitting = Math.max(1, Math.floor(decodedBytes / (height * width * channels)))
    const { inFlight = Math.min(4 * availableParallelism(), fitting), signal } = this.request
    const decoded = orderedWork(count, inFlight, async i => {
      signal?.throwIfAborted()
      return images.pixels(first + i).catch((error: unknown) => ({ error }))
    })
    let position = first
    for await (const pixels of decoded) {
      signal?.throwIfAborted()
      this.done++
      if (pixels instanceof Uint8Array) yield imageAt(images, position, pixels)
      else {
        this.unreadable.add(images.name(position), pixels.error)
        this.unreadable.check()
      }
      this.reportProgress()
      position++
    }
  }

  private reportProgress(): void {
    const { done, total, kept, unreadable } = this
    this.request.onProgress?.({ done, total, kept, unreadable: unreadable.images })
  }

  private async describe(
    name: HalfName,
    finished: readonly FinishedShard[],
    records: readonly ShardRecords[],
  ): Promise<PreparedHalf> {
    const { classNames, groupNames, cells, objectBoxes } = this.input
    const all = (key: keyof ShardRecords): number[] => records.flatMap(shard => shard[key])
    const labels = all('labels')
    const groups = groupNames && all('groups')
    if (labels.length === 0) {
      throw new Error(`prepareDataset: ${name} images must be at least 1 that can be decoded, got 0`)
    }
    const bytes = writeIndex({
      labels: Int32Array.from(labels),
      ...(groups && { groups: Int32Array.from(groups) }),
      ...(cells && { trueCell: Int32Array.from(all('trueCell')) }),
      ...(objectBoxes && { objectBox: Int32Array.from(all('objectBox')) }),
      offsets: Float64Array.from(all('offsets')),
    })
    const file = indexFile(name)
    await writeFileAtomic(join(this.state.directory, file), bytes)
    return {
      count: labels.length,
      classCounts: counts(labels, classNames.length),
      ...(groups && groupNames && { groupCounts: counts(groups, groupNames.length) }),
      index: { file, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') },
      shards: finished.map(({ unreadable: _, ...shard }) => shard),
      unreadable: finished.flatMap(({ unreadable }) => unreadable),
    }
  }
}

function imageAt(
  { labels, groups, trueCell, objectBox }: InputHalf,
  position: number,
  pixels: Uint8Array,
): PreparedImage {
  return {
    pixels,
    label: labels[position] as number,
    ...(groups && { group: groups[position] as number }),
    ...(trueCell && { cell: trueCell[position] as number }),
    ...(objectBox && { box: boxAt(objectBox, position) }),
  }
}

function counts(parts: readonly number[], length: number): number[] {
  const totals = new Array<number>(length).fill(0)
  for (const part of parts) totals[part] = (totals[part] ?? 0) + 1
  return totals
}
