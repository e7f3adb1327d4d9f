import { createHash } from 'node:crypto'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { manifestFile } from '../data/prepared-manifest.js'
import { writeFileAtomic } from './atomic.js'
import { isMissing, makeFolder } from './folders.js'
import type { InputHalf, PrepareInput } from './prepare-input.js'

/** Name of the file that tells how far a folder has been prepared; it goes when all is done. */
const stateFile = 'preparing.json'

const count = z.int().min(0)

const shardState = z.strictObject({
  file: z.string(),
  records: count,
  bytes: count,
  sha256: z.string(),
  unreadable: z.array(z.strictObject({ name: z.string(), reason: z.string() })),
})

const schema = z.strictObject({
  /** Stands for everything that decides what the files will hold. */
  job: z.string(),
  /** What was asked for, in words. */
  asked: z.string(),
  shards: z.array(shardState),
})

/** A shard that is finished. */
export type FinishedShard = z.infer<typeof shardState>

/** What decides which bytes a prepared folder holds. */
export interface PrepareJob {
  readonly dataset: string
  readonly options: object
  readonly source: string
  readonly recordsPerShard: number
}

/** How far a folder has been prepared. */
export interface PrepareState {
  /** The shards that were finished before, by their file. */
  readonly finished: ReadonlyMap<string, FinishedShard>
  /** Remembers a finished shard. */
  add(shard: FinishedShard): Promise<void>
  /** Puts the manifest in its place: from now on the folder is prepared. */
  finish(manifest: string): Promise<void>
}

const ownFile =
  /^\.?((train|validation|test)(-\d{5}-of-\d{5}\.tfrecord|\.index\.safetensors)|manifest\.json|preparing\.json)/

/**
 * Takes a folder for preparing a dataset: a new one, an empty one, or one in which the same was begun.
 *
 * @param force replaces what was prepared or begun; what is not a prepared folder's own file stays
 * @throws Error when the folder holds something else, or cannot be written
 */
export async function takeFolder(
  directory: string,
  job: PrepareJob,
  input: PrepareInput,
  force: boolean,
): Promise<PrepareState> {
  const asked = JSON.stringify({ dataset: job.dataset, ...job.options, source: job.source })
  const key = jobKey(job, input)
  const found = await entriesOf(directory)
  const begun = await readState(directory, found)
  if (!force) refuseOther(directory, found, begun, { key, asked })
  await named(directory, async () => {
    await makeFolder(directory)
    // Under temporary names lies what a killed process was writing.
    const dropped = force ? ownFile : /^\.(train|validation|test|manifest|preparing).*\.tmp$/
    for (const name of found) if (dropped.test(name)) await rm(join(directory, name))
  })
  return stateOf(directory, { job: key, asked, shards: force ? [] : (begun?.shards ?? []) })
}

function refuseOther(
  directory: string,
  found: readonly string[],
  begun: z.infer<typeof schema> | undefined,
  { key, asked }: { readonly key: string; readonly asked: string },
): void {
  if (found.includes(manifestFile)) {
    throw new Error(`${directory}: folder must be new or empty, got prepared images (--force replaces them)`)
  }
  if (begun && begun.job !== key) {
    throw new Error(
      `${directory}: folder must go on with what was begun in it, ${begun.asked}, got ${asked} ` +
        `(--force begins anew${begun.asked === asked ? '; the images found there are others than before' : ''})`,
    )
  }
  const others = found.filter(name => !ownFile.test(name))
  if (!begun && others.length > 0) {
    throw new Error(
      `${directory}: folder must be new, empty or one that was begun, got a folder with ${others.slice(0, 3).join(', ')}`,
    )
  }
}

function stateOf(directory: string, begun: z.infer<typeof schema>): PrepareState {
  const finished = new Map(begun.shards.map(shard => [shard.file, shard]))
  const path = join(directory, stateFile)
  return {
    finished,
    async add(shard) {
      finished.set(shard.file, shard)
      await writeFileAtomic(
        path,
        `${JSON.stringify({ ...begun, shards: [...finished.values()] }, null, 1)}\n`,
      )
    },
    async finish(manifest) {
      await writeFileAtomic(join(directory, manifestFile), manifest)
      await named(directory, () => rm(path, { force: true }))
    },
  }
}

async function readState(
  directory: string,
  found: readonly string[],
): Promise<z.infer<typeof schema> | undefined> {
  if (!found.includes(stateFile)) return undefined
  const path = join(directory, stateFile)
  try {
    return schema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch (cause) {
    throw new Error(
      `${path}: must tell how far the folder is, got ${(cause as Error).message} (--force begins anew)`,
      { cause },
    )
  }
}

async function entriesOf(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (cause) {
    if (isMissing(cause)) return []
    throw new Error(`${directory}: must be a readable folder, got ${(cause as Error).message}`, { cause })
  }
}

/** A digest of the job and of what is known of every image before it is decoded. */
function jobKey(
  job: PrepareJob,
  { shape, classNames, groupNames, cells, train, validation, test }: PrepareInput,
): string {
  const hash = createHash('sha256')
  hash.update(JSON.stringify({ job, shape, classNames, groupNames, cells }))
  for (const half of [train, ...(validation ? [validation] : []), test]) addHalf(hash, half)
  return hash.digest('hex')
}

function addHalf(
  hash: ReturnType<typeof createHash>,
  { count: images, labels, groups, trueCell, objectBox, name }: InputHalf,
): void {
  hash.update(`${images} images`)
  for (const values of [labels, groups, trueCell, objectBox]) {
    if (values) hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  }
  for (let position = 0; position < images; position++) hash.update(`${name(position)}\n`)
}

async function named<T>(directory: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (cause) {
    throw new Error(`${directory}: folder must be writable, got ${(cause as Error).message}`, { cause })
  }
}
