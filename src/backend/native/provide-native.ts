import { existsSync } from 'node:fs'
import { mkdir, readdir, realpath, rename, rm, statfs, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { type Lock, lockFile } from '../../files/lock.js'
import { installNative } from './build-native.js'
import { nativeFolder, PROVIDED_FILE, type ProvidedNative, providedCandidate, whyUnusable } from './native.js'
import { type Run, runProgram } from './run-program.js'

/** Free disk space while building, in bytes: the wheel and what is unpacked of it. */
const NEEDED_BYTES = { cpu: 2e9, gpu: 6e9 }

/** How native TensorFlow is provided. */
export interface ProvideNativeOptions {
  /** The build that can use a GPU. */
  readonly gpu?: boolean
  /** The folder to fill; see `nativeFolder`. */
  readonly dir?: string
  /** Provides it again even if it is present. */
  readonly force?: boolean
  /** Stops the work and removes what it left. */
  readonly signal?: AbortSignal
  /** Called with the name of each stage as it begins. */
  readonly onStage?: (stage: string) => void
  /** How programs are run; for tests. */
  readonly run?: Run
  /** How the download host is asked; for tests. */
  readonly fetch?: typeof fetch
  /** Free bytes on the disk of a folder; for tests. */
  readonly freeBytes?: (folder: string) => Promise<number>
}

/** Native TensorFlow in its folder. */
export interface NativeProvided extends ProvidedNative {
  readonly folder: string
  /** Whether it was there before. */
  readonly already: boolean
}

/**
 * Provides tfjs-node in a folder of its own: the published package where its download host answers, otherwise
 * its addon compiled against the TensorFlow library in PyPI's wheel. It is built under a temporary name, tried
 * in a process of its own and then renamed, so that the folder holds a working one, the old one or nothing, also after a
 * kill.
 *
 * @throws Error when the folder holds anything but an earlier one, when a tool, disk space or a download is missing, or
 *   when the result does not compute; LockedError while another process provides it
 */
export async function provideNative(options: ProvideNativeOptions = {}): Promise<NativeProvided> {
  const folder = await realFolder(options.dir ?? nativeFolder())
  const { gpu = false, force = false } = options
  const asIs = (): NativeProvided | undefined => {
    const provided = force ? undefined : usable(folder, gpu)
    return provided && { ...provided, folder, already: true }
  }
  const isSettled = !existsSync(stageOf(folder)) && !existsSync(oldOf(folder))
  const present = asIs()
  if (present && isSettled) return present
  const lock = await lockFile(folder, 'provideNative').catch((error: unknown) => {
    // The present one can be used while another process holds the lock, and where no lock can be made.
    if (present) return undefined
    throw error
  })
  if (!lock) return present as NativeProvided
  return underLock(lock, async () => {
    await recover(folder)
    return asIs() ?? provideAnew(folder, options)
  })
}

async function underLock<T>(lock: Lock, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } finally {
    await lock.release()
  }
}

async function provideAnew(folder: string, options: ProvideNativeOptions): Promise<NativeProvided> {
  const { gpu = false, signal, run = runProgram, onStage = () => {}, fetch: ask = fetch } = options
  const stage = stageOf(folder)
  await refuseForeign(folder)
  try {
    await checkDisk(dirname(folder), gpu, options.freeBytes ?? freeBytes)
    const provided = await installNative({ stage, gpu, signal, onStage, run, fetch: ask })
    await writeFile(join(stage, PROVIDED_FILE), `${JSON.stringify(provided, undefined, 2)}\n`)
    signal?.throwIfAborted()
    await refuseForeign(folder)
    await swap(stage, folder)
    return { ...provided, folder, already: false }
  } finally {
    await rm(stage, { recursive: true, force: true })
  }
}

/** Where the new folder is built: beside the final one, since its relative links lead out of it. */
function stageOf(folder: string): string {
  return join(dirname(folder), `.${basename(folder)}.pmoe-new`)
}

/** Where the old folder lies while the new one takes its place. */
function oldOf(folder: string): string {
  return join(dirname(folder), `.${basename(folder)}.pmoe-old`)
}

/** What `npm` and this module put into the folder. */
const ownNames: ReadonlySet<string> = new Set<string>([
  PROVIDED_FILE,
  'package.json',
  'package-lock.json',
  'node_modules',
])

/** The folder is deleted as a whole when it is replaced, so it must hold no files of others. */
async function refuseForeign(folder: string): Promise<void> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const others = names.filter(name => !ownNames.has(name))
  const isOwn = names.includes(PROVIDED_FILE)
  if (names.length === 0 || (isOwn && others.length === 0)) return
  const got = (isOwn ? others : names).slice(0, 3).join(', ')
  throw new Error(
    `provideNative: ${folder} must be new, empty or what pmoe native put there, got a folder with ${got}`,
  )
}

/** The folder's path without symbolic links, which the links inside it are relative to. */
async function realFolder(dir: string): Promise<string> {
  const folder = resolve(dir)
  await mkdir(dirname(folder), { recursive: true })
  return join(await realpath(dirname(folder)), basename(folder))
}

function usable(folder: string, gpu: boolean): ProvidedNative | undefined {
  const candidate = providedCandidate(folder)
  if (!candidate || (gpu && !candidate.gpu) || whyUnusable(candidate)) return undefined
  return candidate.provided
}

async function checkDisk(
  folder: string,
  gpu: boolean,
  freeBytes: (folder: string) => Promise<number>,
): Promise<void> {
  const needed = gpu ? NEEDED_BYTES.gpu : NEEDED_BYTES.cpu
  const free = await freeBytes(folder)
  if (free >= needed) return
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`
  throw new Error(
    `provideNative: free disk space must be at least ${gigabytes(needed)}, got ${gigabytes(free)} (${folder})`,
  )
}

async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}

/** Puts the temporary folder in the place of the old one, which is restored if that fails. */
async function swap(stage: string, folder: string): Promise<void> {
  const old = oldOf(folder)
  const hadOld = existsSync(folder)
  if (hadOld) await rename(folder, old)
  try {
    await rename(stage, folder)
  } catch (cause) {
    if (hadOld) await rename(old, folder)
    throw cause
  }
  await rm(old, { recursive: true, force: true })
}

/** Removes what killed processes left; if one was killed while it replaced the folder, the old folder is restored. */
async function recover(folder: string): Promise<void> {
  const old = oldOf(folder)
  if (existsSync(old) && !existsSync(folder)) await rename(old, folder)
  for (const path of [old, stageOf(folder)]) await rm(path, { recursive: true, force: true })
}
