import { createHash, randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { open, readdir, readFile, rm, stat, utimes } from 'node:fs/promises'
import { join, sep } from 'node:path'
import crc32 from 'crc-32'
import { writeFileAtomic } from '../atomic.js'
import { makeFolder } from '../folders.js'
import type { ObjectVersion } from './object-version.js'

/** Bytes of a checksum behind a block. */
const checksumBytes = 4
const versionFile = 'version.json'
/** A block that is used is marked as used again after so long, in ms. */
const markedEveryMs = 3_600_000
/** The part of the limit that is left when the least recently used blocks are removed. */
const leftAfterRemoval = 0.9
/** The part of the limit that may be written before all is counted again, with what other processes have written. */
const countedEvery = 1 / 16

/**
 * Blocks of objects on the disk, which several processes may use at once: each is a file, whole or not there, with a checksum. The least
 * recently used ones are removed where all together would take more than the limit.
 *
 * Blocks are kept by the version of their object: those of an object that has changed are never asked for again.
 */
export class BlockCache {
  private readonly folder: string
  private readonly limit: number
  /** Bytes of all processes at the last count and those written since; undefined before the first count. */
  private bytes: number | undefined
  private writtenSince = 0
  /** Bytes that are being written. */
  private underWay = 0
  private removing: Promise<void> | undefined
  private own: string | undefined
  /** Why blocks cannot be kept, once that has failed. */
  private failure: string | undefined

  private constructor(folder: string, limit: number) {
    this.folder = folder
    this.limit = limit
  }

  /**
   * Opens a cache, whose folder is made.
   *
   * @param limit most bytes on the disk
   * @throws Error when the folder cannot be made
   */
  static async open(folder: string, limit: number): Promise<BlockCache> {
    await makeFolder(folder).catch((cause: Error) => {
      throw new Error(
        `${folder}: cache must be a folder that can be written, got ${cause.message} (--cache or PMOE_CACHE names another)`,
        { cause },
      )
    })
    return new BlockCache(folder, limit)
  }

  /** Most bytes that the blocks of one object may need at the same time. */
  get room(): number {
    return this.limit * leftAfterRemoval
  }

  /** The version of an object whose blocks are kept; undefined where there are none. */
  async lastVersion(address: string): Promise<ObjectVersion | undefined> {
    try {
      return JSON.parse(
        await readFile(join(this.objectFolder(address), versionFile), 'utf8'),
      ) as ObjectVersion
    } catch {
      return undefined
    }
  }

  /**
   * The blocks of one version of an object.
   *
   * @param isKept whether processes that come later may use them; otherwise they are removed when this one ends
   */
  async blocksOf(address: string, version: ObjectVersion, isKept: boolean): Promise<CachedBlocks> {
    const object = this.objectFolder(address)
    const { etag, modified, length } = version
    const folder = isKept
      ? join(object, hashed(JSON.stringify([etag, modified, length])))
      : this.ownFolder(address)
    if (isKept) {
      await this.writing(async () => {
        await makeFolder(folder)
        await writeFileAtomic(join(object, versionFile), JSON.stringify(version))
      })
    }
    return {
      read: (block, size) => this.read(join(folder, `${block}`), size),
      write: (block, bytes) => this.write(folder, block, bytes),
    }
  }

  /** A folder for blocks that no other process is to find. */
  private ownFolder(address: string): string {
    if (ownFolders.size === 0) process.once('exit', removeOwnFolders)
    this.own ??= join(this.folder, `of-one-process-${randomUUID()}`)
    ownFolders.add(this.own)
    return join(this.own, hashed(address))
  }

  private objectFolder(address: string): string {
    return join(this.folder, hashed(address))
  }

  private async read(path: string, size: number): Promise<Uint8Array | undefined> {
    const file = await open(path).catch(() => undefined)
    if (!file) return undefined
    try {
      const { size: stored, mtimeMs } = await file.stat()
      const bytes = new Uint8Array(size + checksumBytes)
      const { bytesRead } = await file.read(bytes, 0, bytes.length, 0)
      const data = bytes.subarray(0, size)
      const isWhole = stored === bytes.length && bytesRead === bytes.length
      if (isWhole && checksumOf(data) === new DataView(bytes.buffer).getInt32(size)) {
        const now = Date.now()
        if (now - mtimeMs > markedEveryMs) await utimes(path, now / 1000, now / 1000).catch(() => undefined)
        return data
      }
    } catch {
      // What cannot be read is asked of the server again, as what is damaged.
    } finally {
      await file.close()
    }
    await rm(path, { force: true }).catch(() => undefined)
    return undefined
  }

  private async write(folder: string, block: number, bytes: Uint8Array): Promise<void> {
    const stored = new Uint8Array(bytes.length + checksumBytes)
    stored.set(bytes)
    new DataView(stored.buffer).setInt32(bytes.length, checksumOf(bytes))
    await this.reserve(stored.length)
    await this.writing(async () => {
      // Flushing would take longer than the network; a block that was cut off has another checksum.
      const put = () => writeFileAtomic(join(folder, `${block}`), stored, { flush: false })
      await put().catch(async () => {
        // The folder is not made yet, or the cache was deleted.
        await makeFolder(folder)
        await put()
      })
    })
    this.underWay -= stored.length
  }

  /** Does without the cache where it cannot be written: reading goes on, and asks the server each time. */
  private async writing(action: () => Promise<unknown>): Promise<void> {
    try {
      await action()
    } catch (error) {
      if (this.failure !== undefined) return
      this.failure = (error as Error).message
      process.emitWarning(
        `${this.folder}: blocks cannot be kept and are read again each time: ${this.failure}`,
      )
    }
  }

  /** Waits until there is room for a block, and takes it. */
  private async reserve(more: number): Promise<void> {
    // Where other processes fill the cache as fast as it is emptied, it may for a while take more than its limit.
    for (let tries = 0; tries < 3 && !this.hasRoom(more); tries++) {
      this.removing ??= this.removeOldest(more).finally(() => {
        this.removing = undefined
      })
      await this.removing
    }
    this.underWay += more
    this.writtenSince += more
  }

  private hasRoom(more: number): boolean {
    if (this.bytes === undefined || this.writtenSince > this.limit * countedEvery) return false
    return this.bytes + this.writtenSince + more <= this.limit
  }

  private async removeOldest(more: number): Promise<void> {
    const files = await filesIn(this.folder)
    let bytes = files.reduce((sum, { size }) => sum + size, this.underWay)
    if (bytes + more > this.limit) {
      files.sort((a, b) => a.used - b.used)
      for (const { path, size } of files) {
        if (bytes + more <= this.limit * leftAfterRemoval) break
        await rm(path, { force: true }).catch(() => undefined)
        bytes -= size
      }
    }
    this.bytes = bytes
    this.writtenSince = 0
  }
}

/** Folders for blocks of this process alone. */
const ownFolders = new Set<string>()

function removeOwnFolders(): void {
  for (const folder of ownFolders) rmSync(folder, { recursive: true, force: true })
}

/** The blocks of one version of an object in a cache. */
export interface CachedBlocks {
  /**
   * Reads a block.
   *
   * @param size its bytes
   * @returns undefined where it is not there or damaged
   */
  read(block: number, size: number): Promise<Uint8Array | undefined>
  /** Keeps a block where that is possible. */
  write(block: number, bytes: Uint8Array): Promise<void>
}

function hashed(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}

function checksumOf(bytes: Uint8Array): number {
  return crc32.buf(bytes)
}

/** A folder of an object, or of the blocks of one process. */
const folderName = /^(?:[0-9a-f]{32}|of-one-process-[0-9a-f-]{36})$/
/** A block or what is known of a version, also while it is written, below such a folder. */
const fileName = /^(?:[0-9a-f]{32}\/)?\.?(?:\d+|version\.json)(?:\.[\w.-]+\.tmp)?$/

/**
 * The files of a cache, when each was last used and its size. Files that go away meanwhile do not count, nor do files of others:
 * somebody may name a folder that holds more than the cache, and these must never be removed.
 */
async function filesIn(folder: string): Promise<{ path: string; size: number; used: number }[]> {
  const folders = (await readdir(folder).catch(() => [])).filter(name => folderName.test(name))
  const within = await Promise.all(
    folders.map(async name => {
      const paths = await readdir(join(folder, name), { recursive: true }).catch(() => [])
      return paths.filter(path => fileName.test(path.replaceAll(sep, '/'))).map(path => join(name, path))
    }),
  )
  const names = within.flat()
  const known = await Promise.all(
    names.map(async name => {
      const path = join(folder, name)
      const stats = await stat(path).catch(() => undefined)
      return stats?.isFile() ? [{ path, size: stats.size, used: stats.mtimeMs }] : []
    }),
  )
  return known.flat()
}
