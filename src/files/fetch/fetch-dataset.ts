import { existsSync, statSync } from 'node:fs'
import { readdir, readFile, rename, rm, rmdir } from 'node:fs/promises'
import { basename, join, relative, resolve } from 'node:path'
import type { PublishedArchive, PublishedDataset, PublishedFile } from '../../data/datasets/downloads.js'
import { writeFileAtomic } from '../atomic.js'
import { isMissing, makeFolder } from '../folders.js'
import { lockFolder } from '../lock.js'
import {
  folderState,
  type OwnFolder,
  recoverFolder,
  recoverForReading,
  replaceFolder,
} from '../replacement.js'
import { unpackTarGz } from './archive.js'
import { DownloadError, discardDownload, download, type TransferProgress } from './download.js'
import { checkArchiveFolder, checkIdxFile, checkMd5 } from './published-content.js'

/** How a published dataset is brought to the disk. */
export interface FetchOptions {
  /** The folder that gets the files. */
  readonly out: string
  /**
   * Where to take them instead of from their publishers: an address or a folder that has files of the same names, or,
   * for a dataset of one file, that file.
   */
  readonly from?: string | undefined
  /** Replaces earlier files of the dataset; other files in a dataset's folder stay. */
  readonly force?: boolean | undefined
  /** Stops the work, with its reason as the error; what was downloaded stays and is continued next time. */
  readonly signal?: AbortSignal | undefined
  /** Called as a stage begins: `downloading`, `checking`, `unpacking`. */
  readonly onStage?: (stage: FetchStage, file: PublishedFile, from: string) => void
  readonly onProgress?: (progress: TransferProgress, file: PublishedFile) => void
  /** For tests: how connections are opened anew. */
  readonly retrying?: { readonly retries?: number; readonly waitMs?: number; readonly idleMs?: number }
}

/** What is being done with a file. */
export type FetchStage = 'downloading' | 'checking' | 'unpacking'

/** What was fetched. */
export interface FetchedDataset {
  /** The folder to give as `--data`. */
  readonly folder: string
  /** Files and folders that are new. */
  readonly fetched: readonly string[]
  /** Files and folders that were already there and complete. */
  readonly present: readonly string[]
}

/**
 * Brings a published dataset to the disk: downloaded with continuation, checked (MD5, header, lengths), and put in its
 * place whole. Files that are there and complete are not fetched again. A process that is killed in this leaves the old
 * or the new files, and the next process that fetches into the folder goes on.
 *
 * @throws Error with the file, what it should be and what it is, when something there or fetched is damaged: nothing of
 *   it takes its place; {@link DownloadError} with all addresses tried when no publisher can be reached; LockedError while
 *   another process fetches into the folder
 */
export async function fetchDataset(
  dataset: PublishedDataset,
  options: FetchOptions,
): Promise<FetchedDataset> {
  const out = resolve(options.out)
  const places = await placesIn(out, dataset, options.force ?? false)
  const missing = places.filter(({ isThere }) => !isThere)
  for (const { file } of missing) localFile(dataset, file, options.from)
  if (missing.length > 0) {
    const lock = await lockFolder(out, 'data fetch')
    try {
      for (const { file, path } of missing) await fetchFile(dataset, file, path, options)
    } finally {
      await lock.release()
    }
  }
  const [first] = dataset.files
  const folder = first?.content.kind === 'tar' ? join(out, first.content.folder) : out
  const paths = (isThere: boolean) =>
    places.filter(place => place.isThere === isThere).map(({ path }) => path)
  return { folder, fetched: paths(false), present: paths(true) }
}

/** Where a file of a dataset goes, and whether its result is already there and complete. */
interface Place {
  readonly file: PublishedFile
  readonly path: string
  readonly isThere: boolean
}

async function placesIn(out: string, { files }: PublishedDataset, force: boolean): Promise<Place[]> {
  const places: Place[] = []
  for (const file of files) {
    const path = join(out, relativePath(file))
    const isThere = !force && (await holdsSomething(path, file))
    if (isThere) await checkPresent(path, file)
    places.push({ file, path, isThere })
  }
  return places
}

/** Whether anything is there besides what a killed process left. */
async function holdsSomething(path: string, { content }: PublishedFile): Promise<boolean> {
  if (!existsSync(path)) return false
  if (content.kind !== 'tar' || !statSync(path).isDirectory()) return true
  const kind = unpackedKind(content)
  await recoverForReading(path, kind)
  const { is, entries } = await folderState(path, kind)
  return is === 'foreign' || entries.includes(kind.marker)
}

/** The folder that an archive becomes. */
function unpackedKind({ files }: PublishedArchive): OwnFolder {
  const names = Object.keys(files)
  return { marker: names.at(-1) as string, ownFiles: async () => names }
}

function relativePath({ name, content }: PublishedFile): string {
  return content.kind === 'tar' ? content.folder : name
}

async function checkPresent(path: string, { content }: PublishedFile): Promise<void> {
  try {
    await (content.kind === 'tar' ? checkArchiveFolder(path, content) : checkIdxFile(path, content))
  } catch (cause) {
    throw new Error(`${(cause as Error).message} (it was there before; --force replaces it)`, { cause })
  }
}

async function fetchFile(
  dataset: PublishedDataset,
  file: PublishedFile,
  target: string,
  options: FetchOptions,
): Promise<void> {
  const local = localFile(dataset, file, options.from)
  const part = `${join(resolve(options.out), file.name)}.part`
  if (local === undefined) await downloadFile(dataset, file, part, options)
  const input = local ?? part
  try {
    options.onStage?.('checking', file, input)
    if (file.md5 !== undefined) await checkMd5(input, file.md5, options.signal)
    if (file.content.kind === 'tar') {
      options.onStage?.('unpacking', file, input)
      await unpackInto(input, target, file.content, options.signal)
    } else {
      await checkIdxFile(input, file.content)
      if (local === undefined) await rename(part, target)
      else await writeFileAtomic(target, await readFile(local))
    }
  } catch (error) {
    // A download that fails its checks would fail them again: it is deleted.
    if (local === undefined && !options.signal?.aborted) await discardDownload(part)
    throw error
  }
  if (local === undefined) await discardDownload(part)
}

/** The local file that `from` names; undefined where `from` is an address or was not given. */
function localFile(dataset: PublishedDataset, { name }: PublishedFile, from?: string): string | undefined {
  if (from === undefined || isAddress(from)) return undefined
  const path = resolve(from)
  const candidates = [join(path, name), ...(dataset.files.length === 1 ? [path] : [])]
  const existing = candidates.find(isFile)
  if (existing === path) checkVersion(path, name)
  if (existing !== undefined) return existing
  throw new Error(`${path}: --from must be an address, or a folder with ${name}, got neither`)
}

/** Refuses another version of the dataset by its file name, which tells the user more than a checksum that differs. */
function checkVersion(path: string, name: string): void {
  const other = /(python|matlab)/i.exec(basename(path))?.[1]?.toLowerCase()
  if (other === undefined || !name.includes('binary')) return
  throw new Error(
    `${path}: --from must be the binary version, ${name}, got the ${other} version by its name ` +
      '(without --from the binary version is downloaded)',
  )
}

function isFile(path: string): boolean {
  // existsSync comes first, since statSync throws for a path that goes through a file.
  return existsSync(path) && statSync(path).isFile()
}

function isAddress(from: string): boolean {
  return /^https?:\/\//.test(from)
}

/**
 * Downloads from the first publisher that has the file; after a download that broke off halfway, no other publisher is
 * tried.
 */
async function downloadFile(
  { name, files, sources, homepage }: PublishedDataset,
  file: PublishedFile,
  part: string,
  options: FetchOptions,
): Promise<void> {
  const { from, signal, onStage, onProgress, retrying } = options
  const bases = from === undefined ? sources : [baseOf(from, files)]
  const failed: DownloadError[] = []
  for (const base of bases) {
    const url = new URL(file.name, base).href
    onStage?.('downloading', file, url)
    try {
      await download({
        ...retrying,
        url,
        part,
        atMostBytes: file.atMost,
        signal,
        onProgress: progress => onProgress?.(progress, file),
      })
      return
    } catch (error) {
      if (!(error instanceof DownloadError)) throw error
      failed.push(error)
      if (error.kept > 0) break
    }
  }
  const bytesKept = failed.at(-1)?.kept ?? 0
  const reasons = failed.map(({ message }) => message).join('; ')
  const advice =
    bytesKept > 0
      ? `${bytesKept} bytes are kept: the same command continues`
      : `by hand: put ${files.map(published => published.name).join(', ')} into a folder (see ${homepage}) and call ` +
        `pmoe data fetch ${name} --from FOLDER`
  throw new DownloadError(`${reasons} (${advice})`, bytesKept, { cause: failed.at(-1) })
}

/** The address of the folder that has the files. */
function baseOf(from: string, files: readonly PublishedFile[]): string {
  const [only, ...more] = files
  if (only && more.length === 0 && from.endsWith(`/${only.name}`)) return from.slice(0, -only.name.length)
  return from.endsWith('/') ? from : `${from}/`
}

/** Unpacks into a folder inside the target folder, checks the files, and lets them replace those of the same names. */
async function unpackInto(
  archive: string,
  target: string,
  content: PublishedArchive,
  signal?: AbortSignal,
): Promise<void> {
  const expected = Object.values(content.files).reduce((sum, bytes) => sum + bytes, 0)
  await makeFolder(target)
  try {
    await recoverFolder(target, unpackedKind(content))
    await replaceFolder(target, unpackedKind(content), async staging => {
      const unpacked = join(staging, '.unpacked')
      await makeFolder(unpacked)
      const names = await unpackTarGz(archive, unpacked, { atMostBytes: expected + EXTRA_BYTES, signal })
      const folder = join(unpacked, content.folder)
      await checkArchiveFolder(folder, content)
      await dropExtras(unpacked, names, target, content)
      signal?.throwIfAborted()
      for (const entry of await readdir(folder)) await rename(join(folder, entry), join(staging, entry))
      await rm(unpacked, { recursive: true })
    })
  } finally {
    await removeIfEmpty(target)
  }
}

/**
 * Drops unpacked files besides the data, such as a page of explanation, where the target folder has a file of that
 * name.
 */
async function dropExtras(
  unpacked: string,
  names: readonly string[],
  target: string,
  { folder, files }: PublishedArchive,
): Promise<void> {
  for (const name of names) {
    const inside = relative(folder, name)
    if (!(inside in files) && existsSync(join(target, inside))) await rm(join(unpacked, name))
  }
}

async function removeIfEmpty(folder: string): Promise<void> {
  await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (!isMissing(error) && error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
  })
}

/** What an archive may hold besides the files that it must have: a list of classes, a page of explanation. */
const EXTRA_BYTES = 2 ** 20
