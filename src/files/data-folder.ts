import { existsSync, statSync } from 'node:fs'
import { lstat, readdir, realpath, stat } from 'node:fs/promises'
import { dirname, isAbsolute, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { noFiles, type StrayLink } from '../data/data-source.js'
import type { DataSource, ImageDataset } from '../data/datasets/datasets.js'
import { archiveAdvice } from '../data/datasets/unread-files.js'
import { failureOf, isAbsent, openRegularFile, readRegularFile, specialFile } from './regular-file.js'
import { isAddress } from './storage/address.js'
import { remoteFolder } from './storage/remote-folder.js'
import { storageOptions } from './storage/storage-options.js'
import { withArchives, zipArchive, zipSource } from './zip/zip-source.js'

/** How data at an address are read. */
export interface DataReading {
  /** Reads nothing that is in the cache already, so that what is read is what the server has; `false` by default. */
  readonly fresh?: boolean
}

/**
 * A `DataSource` over a folder, or over a zip archive in a folder's place, on this machine or at an address. Archives in the folder
 * can be looked into as if they were folders: `faces.zip/000001.jpg`.
 *
 * @param dir path or address (https://, s3://) of the folder, or of a file that ends in `.zip`
 * @throws Error when there is no such folder; as `remoteFolder` for addresses
 */
export function dataFolder(dir: string, reading: DataReading = {}): DataSource {
  if (isAddress(dir)) return dataAt(dir, reading)
  const root = resolve(dir)
  const stats = statSync(root, { throwIfNoEntry: false })
  if (stats?.isFile() && /\.zip$/i.test(root)) return zipSource(root)
  if (!stats?.isDirectory()) {
    throw new Error(`${root}: data folder must be a folder, got ${stats ? fileText(root) : 'nothing there'}`)
  }
  return withArchives(plainFolder(root))
}

function dataAt(address: string, { fresh = false }: DataReading): DataSource {
  const source = remoteFolder(address, { ...storageOptions(), fresh })
  return /\.zip\/*$/i.test(address)
    ? zipArchive(source.describe(''), () => source.open(''))
    : withArchives(source)
}

/** What a file in the place of a folder is, and what to do instead. */
function fileText(path: string): string {
  const archive = archiveAdvice(path)
  return archive === undefined ? `a file (name its folder, ${dirname(path)})` : `a file (${archive})`
}

function plainFolder(root: string): DataSource {
  const locate = (path: string): string => {
    const full = resolve(root, path)
    const inside = relative(root, full)
    if (isAbsolute(path) || isAbsolute(inside) || inside.split(/[\\/]/)[0] === '..') {
      throw new RangeError(`dataFolder: path must stay inside ${root}, got ${path}`)
    }
    return full
  }
  return {
    async read(path) {
      const full = locate(path)
      const bytes = await readRegularFile(full).catch((cause: unknown) => {
        throw new Error(`${full}: file must be readable, got ${failureOf(cause)}`, { cause })
      })
      return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    },
    open: path => openRegularFile(locate(path)),
    async list(folder) {
      const entries = await entriesOf(locate(folder))
      return entries.flatMap(entry => ('why' in entry ? [] : [entry.name])).sort()
    },
    async strayLinks(folder) {
      return (await entriesOf(locate(folder))).filter(entry => 'why' in entry)
    },
    async exists(path) {
      const full = locate(path)
      try {
        return (await stat(full)).isFile()
      } catch (cause) {
        if (isAbsent(cause)) return false
        throw new Error(`${full}: file must be readable, got ${failureOf(cause)}`, { cause })
      }
    },
    describe: locate,
  }
}

/** What a folder holds, folders with `/` at the end of their names, and which of it cannot be opened. */
async function entriesOf(full: string): Promise<({ readonly name: string } | StrayLink)[]> {
  const entries = await readdir(full, { withFileTypes: true }).catch((cause: unknown) => {
    throw new Error(`${full}: folder must be readable, got ${failureOf(cause)}`, { cause })
  })
  const named = entries.map(async entry => {
    const { name } = entry
    if (name.includes(undecodable) && !(await isThere(resolve(full, name)))) {
      return { name, why: 'a name that is not UTF-8; rename it' }
    }
    if (!entry.isSymbolicLink()) return withKind(name, entry)
    const path = resolve(full, name)
    try {
      const linked = await stat(path)
      if (!linked.isDirectory()) return withKind(name, linked)
      const [target, folder] = await Promise.all([realpath(path), realpath(full)])
      const leadsBack = folder === target || folder.startsWith(target.endsWith(sep) ? target : target + sep)
      return leadsBack ? { name, why: 'a link that leads back to a folder above' } : { name: `${name}/` }
    } catch (cause) {
      const isCircle = (cause as NodeJS.ErrnoException).code === 'ELOOP'
      const why = isAbsent(cause) ? 'leads nowhere' : isCircle ? 'leads in a circle' : 'cannot be followed'
      return { name, why: `a link that ${why}` }
    }
  })
  return Promise.all(named)
}

/** A folder's name gets a `/` at its end; pipes, sockets and devices become entries that are not listed. */
function withKind(name: string, stats: Parameters<typeof specialFile>[0]): { name: string } | StrayLink {
  const special = specialFile(stats)
  if (special !== undefined) return { name, why: `${special}, which is no file` }
  return { name: stats.isDirectory() ? `${name}/` : name }
}

/** Stands for bytes of a name that are not UTF-8; a name may also contain this character itself. */
const undecodable = '\ufffd'

async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    cause => !isAbsent(cause),
  )
}

/**
 * A `DataSource` over one folder of the samples that the package ships.
 *
 * @param name the folder: `digits8`, `fashion-mini`
 * @param from the module relative to which the samples are searched, as a file URL
 * @throws Error when the package has no samples, or none of this name
 */
export function samplesFolder(name: string, from: string = import.meta.url): DataSource {
  // Two levels up when run from the sources, three when run compiled in dist.
  const candidates = ['../../samples/', '../../../samples/'].map(up => fileURLToPath(new URL(up, from)))
  const samples = candidates.find(candidate => existsSync(resolve(candidate, 'manifest.json')))
  if (samples === undefined) {
    throw new Error(
      `samplesFolder: samples must be part of the package, got none in ${candidates.join(' or ')}`,
    )
  }
  return dataFolder(resolve(samples, name))
}

/**
 * Where the files of a dataset are: the folder that the user names, otherwise the samples of the package; nowhere for
 * datasets that are drawn.
 *
 * @param dir a folder, or undefined when the user named none
 * @throws Error when the folder is not there, the dataset is not among the samples and no folder is named, or one is
 *   named for a dataset without files
 */
export function datasetSource(entry: ImageDataset, dir?: string): DataSource {
  if (entry.source === 'generated') {
    if (dir === undefined) return noFiles
    throw new Error(`${entry.name}: a data folder must be left out, got ${dir} (its images are drawn)`)
  }
  if (dir !== undefined) return dataFolder(dir)
  if (entry.sampleFolder !== undefined) return samplesFolder(entry.sampleFolder)
  throw new Error(`${entry.name}: a data folder must be named, got none (see ${entry.homepage})`)
}
