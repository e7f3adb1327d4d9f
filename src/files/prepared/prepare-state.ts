import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { shardFile } from '../../data/formats/tfrecord-shards.js'
import { manifestFile, parseManifest, preparedHalves } from '../../data/prepared/manifest.js'
import { writeFileAtomic } from '../atomic.js'
import { isMissing, makeFolder } from '../folders.js'
import { type Lock, LockedError, lockFolder } from '../lock.js'
import { readTextFile } from '../regular-file.js'
import {
  checkRoom,
  folderState,
  type OwnFolder,
  placeStaged,
  recoverFolder,
  removeFiles,
  stagingFolder,
} from '../replacement.js'
import type { InputHalf, PrepareInput } from './prepare-input.js'

/** Name of the file that tells how far a folder has been prepared; it is deleted when all is done. */
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
  /** A digest of everything that decides what the files will hold. */
  job: z.string(),
  /** What was asked for, in words. */
  asked: z.string(),
  shards: z.array(shardState),
  /** All that will be written; files of earlier versions do not have it. */
  files: z.array(z.string()).optional(),
})

type Begun = z.infer<typeof schema>

/**
 * The names that a preparation gives to files; files of other names are never treated as its own, even if a list has
 * them.
 */
const ownName =
  /^(?:(train|validation|test)-\d{5}-of-(\d{5})\.tfrecord|(?:train|validation|test)\.index\.safetensors)$/

/**
 * Folders of prepared images, finished or not: the manifest, or the file that tells how far they are, lists the files
 * that are theirs.
 */
export const preparedKind: OwnFolder = {
  marker: manifestFile,
  firstFiles: [stateFile],
  async ownFiles(directory) {
    const [manifest, begun] = await Promise.all([filesOfManifest(directory), filesOfBegun(directory)])
    return [...new Set([...(begun ?? []), ...(manifest ?? [])])]
  },
}

/** Undefined where there is no manifest of prepared images. */
async function filesOfManifest(directory: string): Promise<string[] | undefined> {
  try {
    const path = join(directory, manifestFile)
    const manifest = parseManifest(await readTextFile(path), path)
    const halves = preparedHalves(manifest).flatMap(([, { shards, index }]) => [
      ...shards.map(({ file }) => file),
      index.file,
    ])
    return [...halves.filter(name => ownName.test(name)), manifestFile]
  } catch {
    return undefined
  }
}

async function filesOfBegun(directory: string): Promise<string[] | undefined> {
  const begun = await readState(directory).catch(() => undefined)
  return begun && [...listedFiles(begun), stateFile]
}

function listedFiles({ files, shards }: Begun): string[] {
  const listed = files ?? shards.flatMap(({ file }) => siblings(file))
  return listed.filter(name => ownName.test(name))
}

/** All files of a half, from one of its files of records, whose name tells their number. */
function siblings(file: string): string[] {
  const [, half, shardCount] = ownName.exec(file) ?? []
  if (half === undefined) return []
  const total = Number(shardCount)
  const shards = Array.from({ length: total }, (_, number) => shardFile(half, number, total, '.tfrecord'))
  return [...shards, `${half}.index.safetensors`]
}

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
  /** Where files are to be written: the folder, or one inside it where prepared images are replaced. */
  readonly directory: string
  /** The shards that were finished before, by their file. */
  readonly finished: ReadonlyMap<string, FinishedShard>
  /** Remembers a finished shard. */
  add(shard: FinishedShard): Promise<void>
  /** Puts the manifest in its place: from now on the folder is prepared. */
  finish(manifest: string): Promise<void>
  /** Lets other processes have the folder; where nothing was finished, nothing is left in it. */
  release(): Promise<void>
}

/**
 * Takes a folder for preparing a dataset: a new one, an empty one, or one in which the same preparation was begun.
 *
 * @param files all that will be written into it, besides the manifest
 * @param force replaces what was prepared or begun: prepared images once the new ones are whole. Files that are not on
 *   the prepared folder's own list stay
 * @throws Error when the folder holds something else, is in use by another process, or cannot be written
 */
export async function takeFolder(
  directory: string,
  job: PrepareJob,
  input: PrepareInput,
  files: readonly string[],
  force: boolean,
): Promise<PrepareState> {
  const description = JSON.stringify({ dataset: job.dataset, ...job.options, source: job.source })
  const plan = { job: jobKey(job, input), asked: description, files }
  await refuseForeign(directory, force)
  return withFolderInError(directory, async () => {
    await makeFolder(directory)
    const lock = await lockFolder(directory, 'prepareDataset')
    try {
      await recoverFolder(directory, preparedKind, { keepStaged: force })
      return await begin(directory, plan, force, lock)
    } catch (error) {
      await lock.release()
      throw error
    }
  })
}

type Plan = Omit<Begun, 'shards' | 'files'> & { readonly files: readonly string[] }

/** Refuses a folder that holds other things than prepared images, finished or begun. */
async function refuseForeign(directory: string, force: boolean): Promise<void> {
  const { is, entries } = await folderState(directory, preparedKind).catch((cause: Error) => {
    throw new Error(`${directory}: must be a readable folder, got ${cause.message}`, { cause })
  })
  if (entries.includes(manifestFile) && (await filesOfManifest(directory)) === undefined) {
    throw new Error(
      `${directory}: folder must be new, empty or one of prepared images, got one whose ${manifestFile} is something else ` +
        'or damaged (pmoe data verify tells)',
    )
  }
  if (is !== 'foreign') return
  if (entries.includes(stateFile)) return void (await begunState(directory, force))
  throw new Error(
    `${directory}: folder must be new, empty or one that was begun, got a folder with ${entries.slice(0, 3).join(', ')}`,
  )
}

async function begin(directory: string, plan: Plan, force: boolean, lock: Lock): Promise<PrepareState> {
  const begun = await begunState(directory, force)
  const isPrepared = (await filesOfManifest(directory)) !== undefined
  const isSame = begun?.job === plan.job
  if (!force) {
    if (isPrepared && !isSame) {
      throw new Error(
        `${directory}: folder must be new or empty, got prepared images (--force replaces them)`,
      )
    }
    if (begun && !isSame && begun.shards.length > 0) throw otherJob(directory, begun, plan)
  }
  if (force && isPrepared) return replacing(directory, plan, lock)
  const finishedShards = !force && isSame ? begun.shards : []
  if (begun && (force || !isSame)) await removeFiles(directory, listedFiles(begun))
  if (!begun) await checkRoom(directory, preparedKind, plan.files)
  return stateOf(directory, plan, finishedShards, {
    async finish(manifest) {
      await writeFileAtomic(join(directory, manifestFile), manifest)
      // The file of progress is deleted last: after a kill before that, the next call finds all images prepared.
      await lock.release()
      await rm(join(directory, stateFile), { force: true })
    },
    release: lock.release,
  })
}

/** New images are prepared inside the folder, and replace the old ones when they are whole. */
async function replacing(directory: string, plan: Plan, lock: Lock): Promise<PrepareState> {
  const staging = stagingFolder(directory)
  await checkRoom(directory, preparedKind, plan.files)
  const begun = await readState(staging).catch(() => undefined)
  if (begun?.job !== plan.job) await rm(staging, { recursive: true, force: true })
  await makeFolder(staging)
  await recoverFolder(staging, preparedKind)
  return stateOf(staging, plan, begun?.job === plan.job ? begun.shards : [], {
    async finish(manifest) {
      await writeFileAtomic(join(staging, manifestFile), manifest)
      await rm(join(staging, stateFile), { force: true })
      await placeStaged(directory, preparedKind)
    },
    async release() {
      if (!(await readState(staging).catch(() => undefined)))
        await rm(staging, { recursive: true, force: true })
      await lock.release()
    },
  })
}

function otherJob(directory: string, begun: Begun, { asked }: Plan): Error {
  return new Error(
    `${directory}: folder must go on with what was begun in it, ${begun.asked}, got ${asked} ` +
      `(--force begins anew${begun.asked === asked ? '; the images found there are others than before' : ''})`,
  )
}

async function stateOf(
  directory: string,
  plan: Plan,
  shards: readonly FinishedShard[],
  { finish, release }: Pick<PrepareState, 'finish' | 'release'>,
): Promise<PrepareState> {
  const finished = new Map(shards.map(shard => [shard.file, shard]))
  const path = join(directory, stateFile)
  const write = () =>
    writeFileAtomic(path, `${JSON.stringify({ ...plan, shards: [...finished.values()] }, null, 1)}\n`)
  await write()
  return {
    directory,
    finished,
    async add(shard) {
      finished.set(shard.file, shard)
      await write()
    },
    finish: manifest => withFolderInError(directory, () => finish(manifest)),
    async release() {
      if (finished.size === 0) await rm(path, { force: true })
      await release()
    },
  }
}

async function readState(directory: string): Promise<Begun | undefined> {
  const path = join(directory, stateFile)
  const text = await readTextFile(path).catch((cause: unknown) => {
    if (isMissing(cause)) return undefined
    throw new Error(`${path}: must be readable, got ${(cause as Error).message}`, { cause })
  })
  if (text === undefined) return undefined
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new CutOffNote(
      `${path}: must tell how far the folder is, got ${(cause as Error).message} (--force begins anew)`,
      { cause },
    )
  }
  const result = schema.safeParse(json)
  if (result.success) return result.data
  throw new Error(
    `${path}: must tell how far the folder is, got ${z.prettifyError(result.error)} (this folder is something else)`,
    { cause: result.error },
  )
}

/** A file of progress that is damaged. */
class CutOffNote extends Error {}

/** With `force` a damaged file of progress is ignored; one that something else wrote is an error. */
async function begunState(directory: string, force: boolean): Promise<Begun | undefined> {
  return readState(directory).catch((error: unknown) => {
    if (force && error instanceof CutOffNote) return undefined
    throw error
  })
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

/** Adds the folder to errors of the file system; errors of this library name it already. */
async function withFolderInError<T>(directory: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (cause) {
    if (cause instanceof LockedError || !(cause instanceof Error && 'syscall' in cause)) throw cause
    throw new Error(`${directory}: folder must be writable, got ${cause.message}`, { cause })
  }
}
