import { existsSync } from 'node:fs'
import { mkdir, readdir, realpath, rename, rm, statfs, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { type Lock, lockFile } from '../../files/lock.js'
import { installNative } from './build-native.js'
import { CUDA_MAJOR } from './cuda-libraries.js'
import {
  type NativeCandidate,
  nativeFolder,
  PROVIDED_FILE,
  type ProvidedNative,
  providedCandidate,
  whyUnusable,
} from './native.js'
import { type NvidiaDriver, requireNvidiaDriver } from './nvidia.js'
import { type Run, runProgram } from './run-program.js'
import { type NativeTrial, tryNative } from './trial.js'

/** Free disk space while building, in bytes: wheels and what is unpacked of them, with CUDA's libraries for a GPU. */
const NEEDED_BYTES = { cpu: 2e9, gpu: 10e9 }

/** How native TensorFlow is provided. */
export interface ProvideNativeOptions {
  /** The build that computes on a GPU; it is provided only where it does. */
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
  /** The environment, of which CUDA_VISIBLE_DEVICES is shown; for tests. */
  readonly env?: Readonly<Record<string, string | undefined>>
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
 * With `gpu` it is compiled against TensorFlow for CUDA 12, with CUDA's libraries of this machine or else of PyPI. Before
 * anything is fetched NVIDIA's driver is asked, and it is provided only where it computes on a GPU.
 *
 * @throws Error when the folder holds anything but an earlier one, when a driver, tool, disk space or a download is missing,
 *   or when the result does not compute, or not on a GPU; LockedError while another process provides it
 */
export async function provideNative(options: ProvideNativeOptions = {}): Promise<NativeProvided> {
  const folder = await realFolder(options.dir ?? nativeFolder())
  const { gpu = false, onStage = () => {} } = options
  const driver = gpu ? await findDriver(options) : undefined
  if (driver) onStage(`driver for CUDA ${driver.cuda} shows ${driver.devices.join(', ')}`)
  const isSettled = !existsSync(stageOf(folder)) && !existsSync(oldOf(folder))
  const present = await asIs(folder, options)
  if (present && isSettled) return present
  const lock = await lockFile(folder, 'provideNative').catch((error: unknown) => {
    // The present one can be used while another process holds the lock, and where no lock can be made.
    if (present) return undefined
    throw error
  })
  if (!lock) return present as NativeProvided
  return underLock(lock, async () => {
    await recover(folder)
    // A GPU build was tried above, unless a killed process had left the folder unsettled.
    const restored = present ?? (gpu && isSettled ? undefined : await asIs(folder, options))
    return restored ?? provideAnew(folder, options)
  })
}

/** NVIDIA's driver, where it can be asked: TensorFlow for CUDA is compiled on Linux only. */
async function findDriver({
  run = runProgram,
  signal,
  env,
  onStage = () => {},
}: ProvideNativeOptions): Promise<NvidiaDriver | undefined> {
  if (process.platform !== 'linux') return undefined
  onStage('asking for an NVIDIA driver')
  return requireNvidiaDriver(CUDA_MAJOR, { run, signal, ...(env && { env }) })
}

/** What is in the folder, where it serves: for a GPU it has to compute there now. */
async function asIs(folder: string, options: ProvideNativeOptions): Promise<NativeProvided | undefined> {
  const { gpu = false, force = false, onStage = () => {} } = options
  const candidate = force ? undefined : usable(folder, gpu)
  if (!candidate) return undefined
  const there = { ...candidate.provided, folder, already: true }
  if (!gpu) return there
  onStage('trying the present one')
  const trial = await tryPresent(candidate, options)
  if (trial?.device !== undefined) return { ...there, device: trial.device }
  onStage('the present one does not compute on a GPU')
  return undefined
}

async function tryPresent(
  candidate: NativeCandidate,
  { run = runProgram, signal }: ProvideNativeOptions,
): Promise<NativeTrial | undefined> {
  try {
    return await tryNative(candidate, { run, signal })
  } catch {
    signal?.throwIfAborted()
    return undefined
  }
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

function usable(folder: string, gpu: boolean): ReturnType<typeof providedCandidate> {
  const candidate = providedCandidate(folder)
  if (!candidate || (gpu && !candidate.gpu) || whyUnusable(candidate)) return undefined
  return candidate
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
