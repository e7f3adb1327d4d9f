import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import util from 'node:util'

/** The two npm packages that bring TensorFlow's C library to tfjs. */
export type NativePackage = '@tensorflow/tfjs-node' | '@tensorflow/tfjs-node-gpu'

/** One place where native TensorFlow was found. */
export interface NativeCandidate {
  readonly packageName: NativePackage
  /** The folder of the npm package. */
  readonly folder: string
  /** Whether it was built to use a GPU. */
  readonly gpu: boolean
  readonly origin: 'project' | 'patch-moe' | 'pmoe native'
}

/** Native TensorFlow that this process has loaded. */
export interface NativeTensorFlow extends NativeCandidate {
  /** Version of the TensorFlow library, such as 2.21.0. */
  readonly version: string
  /** Whether TensorFlow found a GPU and computes on it. */
  readonly usesGpu: boolean
}

/** What `pmoe native` writes beside the packages that it provides. */
export interface ProvidedNative {
  readonly packageName: NativePackage
  readonly gpu: boolean
  /** Version of the TensorFlow library. */
  readonly tensorflow: string
  /** The GPU that it computed on when it was provided, such as NVIDIA H100 80GB HBM3, compute capability 9.0. */
  readonly device?: string
  /** Downloaded as published, or compiled against TensorFlow's Python wheel. */
  readonly source: 'official' | 'built'
}

/** The file in the provided folder that holds a {@link ProvidedNative}. */
export const PROVIDED_FILE = 'native.json'

/** Version of Node's C interface that addons are built for, which names their folder. */
export const NODE_API_VERSION = 8

/** The addon, beside a built one, that prepares the loading: it redirects standard error and opens libraries by path. */
export const LOADING_ADDON = 'mute.node'

/** The file in a package's folder that lists CUDA's libraries in the order in which they are opened. */
export const CUDA_LIST = 'deps/cuda-libraries.json'

const here = fileURLToPath(import.meta.url)
const requireHere = createRequire(here)

/** The folder of this npm package: the nearest one above this file with a package.json named patch-moe. */
export function packageRoot(): string {
  for (let folder = dirname(here); ; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json')
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).name === 'patch-moe') return folder
    if (folder === dirname(folder)) throw new Error(`packageRoot: no package.json of patch-moe above ${here}`)
  }
}

/** The folder that `pmoe native` fills: PATCH_MOE_NATIVE, or `.native` in this npm package. */
export function nativeFolder(env: Readonly<Record<string, string | undefined>> = process.env): string {
  return env.PATCH_MOE_NATIVE || join(packageRoot(), '.native')
}

/**
 * Lists where native TensorFlow is installed, GPU packages first; within each kind the user's project, then
 * this package's own neighbours, then the folder that `pmoe native` fills. Nothing is loaded.
 *
 * @param cwd folder of the user's project
 * @param provided the folder that `pmoe native` fills
 */
export function findNative(
  cwd: string = process.cwd(),
  provided: string = nativeFolder(),
): NativeCandidate[] {
  const candidates: NativeCandidate[] = []
  for (const packageName of ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'] as const) {
    const gpu = packageName.endsWith('-gpu')
    const add = (folder: string | undefined, origin: NativeCandidate['origin']): void => {
      if (folder && !candidates.some(other => other.folder === folder))
        candidates.push({ packageName, folder, gpu, origin })
    }
    add(resolvePackage(createRequire(join(cwd, 'package.json')), packageName), 'project')
    add(resolvePackage(requireHere, packageName), 'patch-moe')
  }
  const candidate = providedCandidate(provided)
  if (candidate)
    candidates.splice(
      candidate.gpu ? candidates.filter(({ gpu }) => gpu).length : candidates.length,
      0,
      candidate,
    )
  return candidates
}

/** What `pmoe native` put into a folder, or undefined where it put nothing whole. */
export function providedCandidate(
  folder: string,
): (NativeCandidate & { readonly provided: ProvidedNative }) | undefined {
  try {
    const provided = JSON.parse(readFileSync(join(folder, PROVIDED_FILE), 'utf8')) as ProvidedNative
    const { packageName, gpu } = provided
    return {
      packageName,
      gpu,
      folder: join(folder, 'node_modules', packageName),
      origin: 'pmoe native',
      provided,
    }
  } catch {
    return undefined
  }
}

/**
 * Why an installation cannot be loaded, as far as its files show: its addon is missing, or it would bring a
 * second copy of tfjs. Undefined where the files show no such problem.
 */
export function whyUnusable({ packageName, folder }: NativeCandidate): string | undefined {
  if (!hasAddon(folder)) {
    return `${packageName} must have its addon lib/napi-v*/tfjs_binding.node, got none (${folder}; its install script did not run or failed)`
  }
  const ours = realpathSync(requireHere.resolve('@tensorflow/tfjs-core'))
  const theirs = resolveCore(folder)
  if (theirs === ours) return undefined
  return `${packageName} must use the same @tensorflow/tfjs-core as patch-moe, got ${theirs ?? 'none'} (${folder}; patch-moe uses ${ours})`
}

let loaded: NativeTensorFlow | undefined

/**
 * Loads native TensorFlow into the process and registers its backend `tensorflow` with tfjs; a process holds
 * one, so later calls return the first. TensorFlow's start-up log is kept quiet unless TF_CPP_MIN_LOG_LEVEL
 * is set.
 *
 * @throws Error when its addon is missing, when it would bring a second copy of tfjs, or when it does not load
 */
export function loadNative(candidate: NativeCandidate): NativeTensorFlow {
  if (loaded) return loaded
  const why = whyUnusable(candidate)
  if (why) throw new Error(`loadNative: ${why}`)
  restoreRemovedUtilities()
  const tfjsNode = quietly(candidate, () => requireNative(candidate))
  const { binding, isUsingGpuDevice } = tfjsNode.backend()
  loaded = { ...candidate, version: binding.TF_Version, usesGpu: isUsingGpuDevice }
  return loaded
}

/** The part of tfjs-node that is read here. */
interface TfjsNode {
  backend(): { readonly binding: { readonly TF_Version: string }; readonly isUsingGpuDevice: boolean }
}

function requireNative(candidate: NativeCandidate): TfjsNode {
  try {
    return requireHere(candidate.folder) as TfjsNode
  } catch (cause) {
    const message = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause)
    throw new Error(`loadNative: ${candidate.packageName} must load, got: ${message} (${candidate.folder})`, {
      cause,
    })
  }
}

let quietLevel = '2'

/**
 * Keeps TensorFlow's errors out of its log as well, once it is loaded, unless TF_CPP_MIN_LOG_LEVEL is set: for those who report the
 * errors themselves.
 */
export function hideErrorLog(): void {
  quietLevel = '3'
}

/**
 * Loads without TensorFlow's start-up log, unless the user chose how much it logs. A GPU's memory is taken as it is needed,
 * unless the user chose otherwise; TensorFlow itself would take nearly all of it at once.
 */
function quietly<T>({ folder, gpu }: NativeCandidate, load: () => T): T {
  const isLogging = process.env.TF_CPP_MIN_LOG_LEVEL !== undefined
  if (!isLogging) process.env.TF_CPP_MIN_LOG_LEVEL = quietLevel
  if (gpu) process.env.TF_FORCE_GPU_ALLOW_GROWTH ??= 'true'
  const path = addonFolders(folder)
    .map(lib => join(lib, LOADING_ADDON))
    .find(file => existsSync(file))
  if (path === undefined) return load()
  const addon = requireHere(path) as LoadingAddon
  preloadCuda(addon, folder, isLogging)
  if (isLogging) return load()
  addon.mute()
  try {
    return load()
  } finally {
    addon.unmute()
  }
}

/** What {@link LOADING_ADDON} exports. */
interface LoadingAddon {
  mute(): void
  unmute(): void
  /** Opens a library; returns why it does not open. */
  preload(path: string): string | undefined
}

/** Opens CUDA's libraries by path, as TensorFlow opens them by name: then they need no LD_LIBRARY_PATH. */
function preloadCuda(addon: LoadingAddon, folder: string, isLogging: boolean): void {
  const list = join(folder, CUDA_LIST)
  if (!existsSync(list)) return
  for (const path of JSON.parse(readFileSync(list, 'utf8')) as string[]) {
    const failure = addon.preload(resolve(folder, path))
    if (failure !== undefined && isLogging) console.error(`W loadNative:1] dlopen: ${failure}`)
  }
}

function hasAddon(folder: string): boolean {
  return addonFolders(folder).some(lib => existsSync(join(lib, 'tfjs_binding.node')))
}

function addonFolders(folder: string): string[] {
  const lib = join(folder, 'lib')
  return existsSync(lib) ? readdirSync(lib).map(version => join(lib, version)) : []
}

/** The tfjs-core that an installation of tfjs-node brings: that of its tfjs. */
function resolveCore(folder: string): string | undefined {
  try {
    const tfjs = createRequire(join(realpathSync(folder), 'package.json')).resolve('@tensorflow/tfjs')
    return realpathSync(createRequire(realpathSync(tfjs)).resolve('@tensorflow/tfjs-core'))
  } catch {
    return undefined
  }
}

function resolvePackage(require: NodeJS.Require, packageName: string): string | undefined {
  try {
    return dirname(realpathSync(require.resolve(`${packageName}/package.json`)))
  } catch {
    return undefined
  }
}

/** tfjs-node 4.22 calls two functions that Node 23 removed from `util`. */
function restoreRemovedUtilities(): void {
  const target = util as unknown as Record<string, unknown>
  target.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined
  target.isArray ??= Array.isArray
}
