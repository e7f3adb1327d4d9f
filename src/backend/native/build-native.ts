import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { compileAddons, findCompiler, TENSORFLOW_LIBRARIES } from './addon.js'
import { provideCollectiveAddon } from './collective-addon.js'
import {
  bringCudaLibraries,
  findCudaLibraries,
  hasOfficialCuda,
  noteCudaLibraries,
} from './cuda-libraries.js'
import type { Installation, PackageInstallation } from './installation.js'
import type { ProvidedNative } from './native.js'
import { installOfficial, installPackage, removeAddon } from './npm-package.js'
import { type NativeTrial, tryInstalled } from './trial.js'
import { fetchWheels, requirePip, unpackWheel } from './wheel.js'

/** The TensorFlow whose wheel the addon is built against. */
const WHEEL_VERSION = '2.21.*'

/**
 * Fills a folder with tfjs-node, tried in a process of its own: the published package where its download host answers,
 * otherwise its addon compiled against the TensorFlow library in PyPI's wheel. For a GPU this is the other way round, since
 * the published package holds TensorFlow 2.9 for CUDA 11.2, which falls back to the processor beside a later CUDA.
 *
 * @throws Error when a tool or a download is missing, when the result does not compute, or not on a GPU that was asked for
 */
export async function installNative(installation: Installation): Promise<ProvidedNative> {
  const { gpu } = installation
  const packageName = gpu ? '@tensorflow/tfjs-node-gpu' : '@tensorflow/tfjs-node'
  const work: PackageInstallation = { ...installation, packageName }
  const folder = await installPackage(work)
  const provided = (trial: NativeTrial, source: ProvidedNative['source']): ProvidedNative => ({
    packageName,
    gpu,
    tensorflow: trial.tensorflow,
    ...(gpu && trial.device !== undefined && { device: trial.device }),
    source,
  })
  const { platform, arch } = process
  if (gpu && platform === 'linux' && arch === 'x64') {
    try {
      return provided(await buildForGpu(work, folder), 'built')
    } catch (error) {
      work.signal?.throwIfAborted()
      const official = (await hasOfficialCuda(work)) && (await officialInstead(work, folder))
      if (official) return provided(official, 'official')
      throw error
    }
  }
  const official = await installOfficial(work, folder)
  if (official) return provided(official, 'official')
  if (gpu)
    throw new Error(
      `provideNative: the platform must be linux x64 where the published addon does not compute on a GPU, got ${platform} ${arch}`,
    )
  await buildAddon(work, folder, 'tensorflow-cpu')
  await tidyStage(work)
  return provided(await tryInstalled(work, folder), 'built')
}

/** What failed on the way is removed before another way is tried. */
async function officialInstead(work: PackageInstallation, folder: string): Promise<NativeTrial | undefined> {
  await removeAddon(folder)
  for (const leftover of LEFTOVERS) await rm(join(work.stage, leftover), { recursive: true, force: true })
  return installOfficial(work, folder)
}

/** Builds the addon against TensorFlow with CUDA, whose libraries are those of this machine if they do, or else brought. */
async function buildForGpu(work: PackageInstallation, folder: string): Promise<NativeTrial> {
  const metadata = await buildAddon(work, folder, 'tensorflow')
  work.onStage("looking for CUDA's libraries")
  const { paths, missing } = await findCudaLibraries(work)
  if (missing.length === 0) {
    await noteCudaLibraries(folder, paths)
    try {
      const trial = await tryInstalled(work, folder)
      await tidyStage(work)
      return trial
    } catch {
      work.signal?.throwIfAborted()
      work.onStage("TensorFlow does not compute with this machine's CUDA libraries")
    }
  }
  await noteCudaLibraries(folder, await bringCudaLibraries(work, folder, metadata))
  await tidyStage(work)
  return tryInstalled(work, folder)
}

/**
 * Compiles the addon against the library in a wheel.
 *
 * @returns the wheel's metadata
 */
async function buildAddon(work: PackageInstallation, folder: string, wheelName: string): Promise<string> {
  const compiler = await findCompiler(work)
  await requirePip(work)
  work.onStage(`fetching the library of ${wheelName} ${WHEEL_VERSION}`)
  const [wheel = ''] = await fetchWheels(work, [`${wheelName}==${WHEEL_VERSION}`])
  work.onStage('unpacking the library')
  const libraries = join(folder, 'deps/lib')
  const unpacked = join(work.stage, 'wheel')
  await mkdir(libraries, { recursive: true })
  const wanted = TENSORFLOW_LIBRARIES.map(library => `tensorflow/${library}`)
  await unpackWheel(work, wheel, unpacked, [...wanted, 'tensorflow/include/*', '*.dist-info/METADATA'])
  for (const library of TENSORFLOW_LIBRARIES)
    await rename(join(unpacked, 'tensorflow', library), join(libraries, library))
  work.onStage('compiling the addon')
  await compileAddons(work, compiler, folder, join(unpacked, 'tensorflow/include'))
  await provideCollectiveAddon(folder, work)
  return metadataIn(unpacked)
}

/** Empty where the wheel has none. */
async function metadataIn(unpacked: string): Promise<string> {
  const names = await readdir(unpacked)
  const info = names.find(name => name.endsWith('.dist-info'))
  return info === undefined ? '' : readFile(join(unpacked, info, 'METADATA'), 'utf8')
}

/** What building leaves in the stage and loading does not need. */
const LEFTOVERS = ['wheel', 'download', 'node_modules/node-api-headers']

async function tidyStage({ stage }: PackageInstallation): Promise<void> {
  for (const leftover of LEFTOVERS) await rm(join(stage, leftover), { recursive: true, force: true })
}
