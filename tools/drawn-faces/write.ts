import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { renderAsync } from '@resvg/resvg-js'
import sharp from 'sharp'
import { makeFolder } from '../../src/files/folders.js'
import { deriveSeed } from '../../src/random.js'
import { drawFace } from './face.js'
import { type FacePlan, type PlannedFace, planFaces } from './plan.js'
import { attributeTable, type FaceRow, faceRow, partitionTable } from './tables.js'
import { writeZip } from './zip-writer.js'

/** The layouts in which CelebA is distributed. */
export const layoutNames = ['official', 'flat', 'csv', 'zip'] as const
export type LayoutName = (typeof layoutNames)[number]

interface Layout {
  /** Folder of the images; without it they go into `img_align_celeba.zip`. */
  readonly images?: string
  readonly attributes: string
  readonly partition: string
  readonly format: 'txt' | 'csv'
}

const layouts: Readonly<Record<LayoutName, Layout>> = {
  official: {
    images: 'Img/img_align_celeba',
    attributes: 'Anno/list_attr_celeba.txt',
    partition: 'Eval/list_eval_partition.txt',
    format: 'txt',
  },
  flat: {
    images: 'img_align_celeba',
    attributes: 'list_attr_celeba.txt',
    partition: 'list_eval_partition.txt',
    format: 'txt',
  },
  csv: {
    images: 'img_align_celeba/img_align_celeba',
    attributes: 'list_attr_celeba.csv',
    partition: 'list_eval_partition.csv',
    format: 'csv',
  },
  zip: {
    attributes: 'list_attr_celeba.txt',
    partition: 'list_eval_partition.txt',
    format: 'txt',
  },
}

/** How drawn faces are written. */
export interface WriteOptions extends FacePlan {
  /** A folder that is not there yet, or empty. */
  readonly out: string
  readonly layout: LayoutName
  /** Ends the work; nothing is left of it then. */
  readonly signal?: AbortSignal
  /** Is told how many images are written. */
  readonly onImage?: (written: number) => void
}

/**
 * Draws faces and writes them as CelebA is: images, attributes and parts. The folder appears only when it is complete.
 *
 * @throws RangeError when the plan is out of range; Error when the folder has something in it, or cannot be written
 */
export async function writeFaces(options: WriteOptions): Promise<void> {
  const plan = planFaces(options)
  const out = resolve(options.out)
  await checkEmpty(out)
  const partial = join(dirname(out), `.${basename(out)}.${process.pid}.partial`)
  try {
    await makeFolder(dirname(out))
    await mkdir(partial)
  } catch (cause) {
    throw new Error(`${out}: folder must be writable, got ${(cause as Error).message}`, { cause })
  }
  try {
    const { attributes, partition, format, images } = layouts[options.layout]
    const rows = await writeImages(plan, options, partial, images)
    for (const path of [attributes, partition]) await makeFolder(dirname(join(partial, path)))
    await writeFile(join(partial, attributes), attributeTable(rows, format))
    await writeFile(join(partial, partition), partitionTable(rows, format))
    await rm(out, { recursive: true, force: true })
    await rename(partial, out)
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
}

async function checkEmpty(out: string): Promise<void> {
  const entries = await readdir(out).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return []
    throw new Error(`${out}: folder must be readable, got ${cause.message}`, { cause })
  })
  if (entries.length === 0) return
  throw new Error(`${out}: folder must be empty or not there, got ${entries.length} files or folders in it`)
}

/** Where images go: a folder, or an archive. */
interface ImageSink {
  add(name: string, bytes: Uint8Array): Promise<void>
  end(): Promise<void>
  abandon(): Promise<void>
}

async function writeImages(
  plan: readonly PlannedFace[],
  { seed, signal, onImage }: WriteOptions,
  folder: string,
  images: string | undefined,
): Promise<FaceRow[]> {
  const sink =
    images === undefined
      ? prefixed('img_align_celeba/', await writeZip(join(folder, 'img_align_celeba.zip')))
      : await folderSink(join(folder, images))
  const rows: FaceRow[] = []
  try {
    for await (const { row, jpeg } of drawnInOrder(plan, seed)) {
      signal?.throwIfAborted()
      await sink.add(row.image, jpeg)
      rows.push(row)
      onImage?.(rows.length)
    }
    await sink.end()
  } catch (error) {
    await sink.abandon()
    throw error
  }
  return rows
}

function prefixed(prefix: string, sink: ImageSink): ImageSink {
  return { ...sink, add: (name, bytes) => sink.add(prefix + name, bytes) }
}

async function folderSink(folder: string): Promise<ImageSink> {
  await makeFolder(folder)
  return {
    add: (name, bytes) => writeFile(join(folder, name), bytes),
    end: async () => {},
    abandon: async () => {},
  }
}

/** Faces that are rendered at the same time. */
const inFlight = 8

async function* drawnInOrder(
  plan: readonly PlannedFace[],
  seed: number,
): AsyncGenerator<{ row: FaceRow; jpeg: Uint8Array }, void, undefined> {
  const queue: Promise<{ row: FaceRow; jpeg: Uint8Array }>[] = []
  try {
    for (const [i, planned] of plan.entries()) {
      const face = drawFace(planned, deriveSeed(seed, `face ${i}`))
      const row = faceRow(i + 1, planned, face)
      queue.push(renderJpeg(face.svg).then(jpeg => ({ row, jpeg })))
      if (queue.length >= inFlight) yield await (queue.shift() as (typeof queue)[number])
    }
    while (queue.length > 0) yield await (queue.shift() as (typeof queue)[number])
  } finally {
    await Promise.allSettled(queue)
  }
}

/** JPEG quality of the drawn images, 1..100. */
const quality = 90

/**
 * Renders a drawing as a JPEG.
 *
 * @param svg with its width and height in pixels
 */
async function renderJpeg(svg: string): Promise<Uint8Array> {
  const { pixels, width, height } = await renderAsync(svg, { font: { loadSystemFonts: false } })
  const bytes = await sharp(pixels, { raw: { width, height, channels: 4 } })
    .removeAlpha()
    .jpeg({ quality })
    .toBuffer()
  return new Uint8Array(bytes)
}
