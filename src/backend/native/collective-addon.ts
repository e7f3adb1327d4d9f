import { createHash, randomUUID } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import os from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findCompiler } from './addon.js'
import { type NativeCandidate, NODE_API_VERSION } from './native.js'
import { type Run, runProgram } from './run-program.js'

const SOURCE = fileURLToPath(new URL('./collective.cc', import.meta.url))

/** What the addon of `collective.cc` exports. */
export interface CollectiveAddon {
  /**
   * Says how the process joins a cluster, when TensorFlow is loaded.
   *
   * @param server a ServerDef of TensorFlow's, serialised
   * @param ownDevices what the names of this worker's devices begin with
   * @param address of IPv4 or IPv6, the only one at which the worker listens
   * @param milliseconds after which a process that still joins ends with exit code 1: TensorFlow may wait for ever where a worker dies
   *   meanwhile
   */
  configure(server: Uint8Array, ownDevices: string, address: string, milliseconds: number): void
  /** Why the process could not join; undefined where it could. */
  failure(): string | undefined
  /** What TensorFlow said of the last operation that failed. */
  lastError(): string
  /** Hands the next operation, a collective, to a thread of its own; returns its number. */
  handOver(): number
  /** Gives the next operation, which is not run, the result of a collective, once that is done. */
  fetch(number: number): void
  /** What is wrong with each of these workers, '' for one that answers within so many milliseconds. */
  probe(tasks: readonly string[], milliseconds: number): string[]
}

/** The file of the addon in an installation's folder; another source is another file. */
function addonPath(folder: string): string {
  const source = createHash('sha256').update(readFileSync(SOURCE)).digest('hex').slice(0, 12)
  return join(folder, `lib/napi-v${NODE_API_VERSION}`, `collective-${source}.node`)
}

/**
 * Compiles the addon that puts a process into TensorFlow's collective runtime, beside an installation of native TensorFlow, unless it is
 * there. Several processes may do so at once: the file is written whole or not at all.
 *
 * @param folder of the npm package
 * @param compile how it is compiled; with the C++ compiler of this machine unless given
 * @returns the addon's path
 * @throws Error where there is no compiler, where the platform is not Linux, or the folder cannot be written
 */
export async function provideCollectiveAddon(
  folder: string,
  { run = runProgram, signal }: { readonly run?: Run; readonly signal?: AbortSignal | undefined } = {},
): Promise<string> {
  const path = addonPath(folder)
  if (existsSync(path)) return path
  const compiler = await findCompiler({ run, signal })
  // Machines and pods that share the folder may have processes of the same number.
  const temporary = `${path}.${randomUUID()}`
  const flags = ['-std=c++17', '-O2', '-fPIC', '-shared', '-fvisibility=hidden']
  try {
    await mkdir(join(path, '..'), { recursive: true })
    await run(compiler, [...flags, SOURCE, '-o', temporary, '-ldl', '-pthread'], { signal })
    await rename(temporary, path)
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined)
    signal?.throwIfAborted()
    throw new Error(
      `cluster: ${compiler} must compile the addon of collective operations, got: ${(cause as Error).message} (${path})`,
      { cause },
    )
  }
  return path
}

/** Loads the addon, before TensorFlow: its functions stand before those of the same names. */
export async function loadCollectiveAddon({
  folder,
}: Pick<NativeCandidate, 'folder'>): Promise<CollectiveAddon> {
  const path = await provideCollectiveAddon(folder)
  const module = { exports: {} as CollectiveAddon }
  process.dlopen(module, path, os.constants.dlopen.RTLD_NOW | os.constants.dlopen.RTLD_GLOBAL)
  return module.exports
}
