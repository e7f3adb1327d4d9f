import type { ByteSource } from '../../data/data-source.js'
import { eachInParallel } from '../../data/each-in-parallel.js'
import type { BlockCache, CachedBlocks } from './block-cache.js'
import { BlockFilling, type HeldBlocks } from './blocks.js'
import { checkSameVersion, type ObjectVersion, versionOf } from './object-version.js'
import { type Answer, type ObjectPlace, type Requests, StorageError } from './requests.js'

/** Bytes that are kept together: what is asked for again where a process was killed, and the least that is read. */
export const blockBytes = 2 ** 18
/** Most blocks of one request. */
const blocksAtOnce = 32
/** Blocks of one request that are being written to the cache at a time. */
const writesAtOnce = 8
/** Blocks that are asked for ahead of reads that follow each other. */
const blocksAhead = 32

/** What reads objects. */
export interface ObjectReading {
  readonly requests: Requests
  readonly cache: BlockCache
  readonly held: HeldBlocks
  /** Whether blocks that other processes have read may be used. */
  readonly fresh: boolean
}

/**
 * Opens an object: one request, which brings its first block or says that the version whose blocks are in the cache is still there.
 *
 * @throws StorageError when it is not there or cannot be reached; RangeError when the server does not say how long it is
 */
export async function openObject(place: ObjectPlace, reading: ObjectReading): Promise<RemoteObject> {
  const { requests, cache, fresh } = reading
  const known = fresh ? undefined : await cache.lastVersion(place.url.href)
  const { version, first } = await requests.persist(place, () => askFirst(place, requests, known))
  const isKept = !fresh && (version.etag ?? version.modified) !== undefined
  // What is read once to be checked would only drive out what is used.
  const blocks = fresh && version.inRanges ? noBlocks : await cache.blocksOf(place.url.href, version, isKept)
  const object = new RemoteObject(place, version, reading, blocks)
  if (version.length > cache.room && !version.inRanges) {
    throw new RangeError(
      `${place.shown}: object must fit into the cache of ${cache.room} bytes, as its server sends no parts of it, ` +
        `got ${version.length} bytes (PMOE_CACHE_GIB gives it more)`,
    )
  }
  if (first) await object.keep(0, first)
  return object
}

const noBlocks: CachedBlocks = { read: async () => undefined, write: async () => undefined }

interface FirstAnswer {
  readonly version: ObjectVersion
  /** The first block, where it came along. */
  readonly first?: Uint8Array
}

async function askFirst(
  place: ObjectPlace,
  requests: Requests,
  known: ObjectVersion | undefined,
): Promise<FirstAnswer> {
  const answer = await requests.ask(place, {
    range: `bytes=0-${blockBytes - 1}`,
    ...(known?.etag !== undefined && { 'if-none-match': known.etag }),
  })
  if (answer.status === 304 && known) return { version: known }
  const version = await discardingRefused(answer, () => {
    const stated = versionOf(answer, place.shown)
    if (answer.status === 206) checkStart(answer, 0, place, stated)
    return stated
  })
  const size = Math.min(blockBytes, version.length)
  if (answer.status === 416 || (!version.inRanges && version.length > blockBytes)) {
    await answer.discard()
    if (answer.status === 416 && version.length > 0) throw refusedRange(place, answer, version)
    return { version }
  }
  const first = new Uint8Array(size)
  let filled = 0
  for await (const chunk of answer.chunks()) {
    first.set(chunk.subarray(0, size - filled), filled)
    filled = Math.min(size, filled + chunk.length)
  }
  if (filled < size) requests.cutShort(`${filled} of ${size} bytes`)
  return { version, first }
}

/** Checks the headers of an answer, and lets go of its bytes where they are refused. */
async function discardingRefused<T>(answer: Answer, check: () => T): Promise<T> {
  try {
    return check()
  } catch (error) {
    await answer.discard()
    throw error
  }
}

function checkStart(answer: Answer, from: number, place: ObjectPlace, version: ObjectVersion): void {
  const start = /^bytes (\d+)-/.exec(answer.headers.get('content-range') ?? '')?.[1]
  if (answer.status !== 206 || Number(start) !== from) throw refusedRange(place, answer, version)
}

function refusedRange(
  { shown }: ObjectPlace,
  { status, headers }: Answer,
  version: ObjectVersion,
): StorageError {
  const said = headers.get('content-range') ?? 'none'
  return new StorageError(
    `${shown}: server must send parts of the ${version.length} bytes, got status ${status} with content-range ${said}`,
    status,
  )
}

/** An object of which parts are read: from memory, from the cache, or from its server. */
export class RemoteObject implements ByteSource {
  readonly length: number
  private readonly place: ObjectPlace
  private readonly version: ObjectVersion
  private readonly reading: ObjectReading
  private readonly cached: CachedBlocks
  /** Blocks that are under way. */
  private readonly coming = new Map<number, ComingBlock>()
  /** The byte after the last read. */
  private readTo = 0
  private bringingWhole: Promise<void> | undefined

  constructor(place: ObjectPlace, version: ObjectVersion, reading: ObjectReading, cached: CachedBlocks) {
    this.place = place
    this.version = version
    this.length = version.length
    this.reading = reading
    this.cached = cached
  }

  async slice(start: number, end: number): Promise<Uint8Array> {
    const to = Math.min(end, this.length)
    const bytes = new Uint8Array(Math.max(0, to - start))
    if (bytes.length === 0) return bytes
    const [first, last] = [Math.floor(start / blockBytes), Math.floor((to - 1) / blockBytes)]
    const blocks = await Promise.all(this.bring(first, last))
    blocks.forEach((block, i) => {
      const offset = (first + i) * blockBytes
      const from = Math.max(0, start - offset)
      bytes.set(block.subarray(from, Math.min(block.length, to - offset)), offset + from - start)
    })
    if (start === this.readTo && start > 0) this.bring(last + 1, last + blocksAhead)
    this.readTo = to
    return bytes
  }

  async close(): Promise<void> {
    // The object stays open for the next reader of its folder.
  }

  /** Takes a block that has come. */
  async keep(block: number, bytes: Uint8Array): Promise<void> {
    this.reading.held.set(this, block, bytes)
    await this.cached.write(block, bytes)
  }

  private sizeOf(block: number): number {
    return Math.min(blockBytes, this.length - block * blockBytes)
  }

  /** The blocks first..last of the object, those that it has; what is not here is on its way from then on. */
  private bring(first: number, last: number): Promise<Uint8Array>[] {
    const blocks: Promise<Uint8Array>[] = []
    const missing: ComingBlock[] = []
    for (let block = first; block <= last && block * blockBytes < this.length; block++) {
      const held = this.reading.held.get(this, block)
      const coming = this.coming.get(block)
      if (held) {
        blocks.push(Promise.resolve(held))
        continue
      }
      const awaited = coming ?? new ComingBlock(block)
      if (!coming) {
        this.coming.set(block, awaited)
        missing.push(awaited)
      }
      blocks.push(awaited.bytes)
    }
    if (missing.length > 0) void this.fill(missing)
    return blocks
  }

  /** Fills blocks from the cache, and those that it does not have by requests for neighbours. */
  private async fill(blocks: readonly ComingBlock[]): Promise<void> {
    const missing: ComingBlock[] = []
    await eachInParallel(blocks.length, async i => {
      const coming = blocks[i] as ComingBlock
      const bytes = await this.cached.read(coming.block, this.sizeOf(coming.block))
      if (bytes) this.settle(coming, bytes)
      else missing.push(coming)
    })
    missing.sort((a, b) => a.block - b.block)
    for (let from = 0; from < missing.length; ) {
      let to = from + 1
      while (missing[to]?.block === (missing[to - 1] as ComingBlock).block + 1 && to - from < blocksAtOnce)
        to++
      void this.fetch(missing.slice(from, to))
      from = to
    }
  }

  private settle(coming: ComingBlock, bytes: Uint8Array): void {
    this.reading.held.set(this, coming.block, bytes)
    this.coming.delete(coming.block)
    coming.resolve(bytes)
  }

  private async fetch(run: readonly ComingBlock[]): Promise<void> {
    try {
      await (this.version.inRanges ? this.fetchRun(run) : this.fetchWhole(run))
    } catch (error) {
      for (const coming of run) {
        if (this.coming.get(coming.block) === coming) this.coming.delete(coming.block)
        coming.reject(error)
      }
    }
  }

  /** Asks for neighbours, and after a break for those bytes that have not come. */
  private async fetchRun(run: readonly ComingBlock[]): Promise<void> {
    const [first, last] = [run[0] as ComingBlock, run.at(-1) as ComingBlock]
    const start = first.block * blockBytes
    const end = last.block * blockBytes + this.sizeOf(last.block)
    const filling = new BlockFilling(first.block, block => this.sizeOf(block))
    const writes: Promise<void>[] = []
    const work = async (): Promise<void> => {
      const from = start + filling.bytes
      const answer = await this.reading.requests.ask(this.place, { range: `bytes=${from}-${end - 1}` })
      await discardingRefused(answer, () => {
        this.checkVersion(answer)
        checkStart(answer, from, this.place, this.version)
      })
      for await (const chunk of answer.chunks()) {
        for (const { block, bytes } of filling.take(chunk)) {
          const coming = run[block - first.block]
          if (!coming) break
          this.settle(coming, bytes)
          writes.push(this.cached.write(block, bytes))
          if (writes.length === writesAtOnce) await writes.shift()
        }
        if (start + filling.bytes >= end) return
      }
      this.reading.requests.cutShort(`${filling.bytes} of ${end - start} bytes`)
    }
    const { requests } = this.reading
    await requests.room.with(1, () => requests.persist(this.place, work, () => filling.bytes))
    await Promise.all(writes)
  }

  private checkVersion(answer: Answer): void {
    checkSameVersion(this.version, versionOf(answer, this.place.shown), this.place.shown)
  }

  /** Takes the whole object into the cache, once for all who wait for blocks of it, and reads these from there. */
  private async fetchWhole(run: readonly ComingBlock[]): Promise<void> {
    this.bringingWhole ??= this.bringWhole().finally(() => {
      this.bringingWhole = undefined
    })
    await this.bringingWhole
    for (const coming of run) {
      const bytes = await this.cached.read(coming.block, this.sizeOf(coming.block))
      if (!bytes) {
        throw new StorageError(
          `${this.place.shown}: cache must hold the object, of which its server sends no parts, got block ${coming.block} missing`,
        )
      }
      this.settle(coming, bytes)
    }
  }

  private async bringWhole(): Promise<void> {
    const { requests } = this.reading
    const work = async (): Promise<void> => {
      const answer = await requests.ask(this.place, {})
      await discardingRefused(answer, () => this.checkVersion(answer))
      const filling = new BlockFilling(0, block => this.sizeOf(block))
      for await (const chunk of answer.chunks()) {
        for (const { block, bytes } of filling.take(chunk)) await this.cached.write(block, bytes)
      }
      if (filling.bytes !== this.length) requests.cutShort(`${filling.bytes} of ${this.length} bytes`)
    }
    await requests.room.with(1, () => requests.persist(this.place, work))
  }
}

/** A block that somebody waits for. */
class ComingBlock {
  readonly block: number
  readonly bytes: Promise<Uint8Array>
  resolve: (bytes: Uint8Array) => void = () => undefined
  reject: (error: unknown) => void = () => undefined

  constructor(block: number) {
    this.block = block
    this.bytes = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    // What is read ahead may never be waited for: without a handler its failure would end the process.
    this.bytes.catch(() => undefined)
  }
}
