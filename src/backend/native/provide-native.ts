import { existsSync } from 'node:fs'
import { mkdir, readdir, realpath, rename, rm, statfs, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
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
  /** Provides it anew even where it is there. */
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
 * in a process of its own and then renamed, so that the folder holds a working one, the old one or nothing.
 *
 * @throws Error when a tool, disk space or a download is missing, or when the result does not compute
 */
export async function provideNative(options: ProvideNativeOptions = {}): Promise<NativeProvided> {
  const folder = await realFolder(options.dir ?? nativeFolder())
  await clearAbandoned(folder)
  const present = options.force ? undefined : usable(folder, options.gpu ?? false)
  if (present) return { ...present, folder, already: true }
  const stage = `${folder}.partial-${process.pid}`
  const { gpu = false, signal, run = runProgram, onStage = () => {} } = options
  try {
    await checkDisk(dirname(folder), gpu, options.freeBytes ?? freeBytes)
    const ask = options.fetch ?? fetch
    const provided = await installNative({ stage, gpu, signal, onStage, run, fetch: ask })
    await writeFile(join(stage, PROVIDED_FILE), `${JSON.stringify(provided, undefined, 2)}\n`)
    signal?.throwIfAborted()
    await swap(stage, folder)
    return { ...provided, folder, already: false }
  } finally {
    await rm(stage, { recursive: true, force: true })
  }
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

/** Puts the temporary folder in the place of the old one, which comes back where that fails. */
async function swap(stage: string, folder: string): Promise<void> {
  const old = `${folder}.old-${process.pid}`
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

/** Removes the temporary folders of processes that were killed; one killed during the swap gets its old one back. */
async function clearAbandoned(folder: string): Promise<void> {
  for (const name of await readdir(dirname(folder))) {
    const [, kind, pid] =
      (name.startsWith(`${basename(folder)}.`) && /\.(partial|old)-(\d+)$/.exec(name)) || []
    if (!kind || isRunning(Number(pid))) continue
    const abandoned = join(dirname(folder), name)
    if (kind === 'old' && !existsSync(folder)) await rename(abandoned, folder)
    else await rm(abandoned, { recursive: true, force: true })
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
