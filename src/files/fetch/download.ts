import { type FileHandle, open, readFile, rm, stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { writeFileAtomic } from '../atomic.js'

/** What is downloaded, and where the bytes are kept until all have arrived. */
export interface DownloadOptions {
  readonly url: string
  /** The file to fill; what an earlier download of the same address left in it is continued. */
  readonly part: string
  /** Longest accepted length of the file, in bytes. */
  readonly atMostBytes: number
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: TransferProgress) => void) | undefined
  /** How often a connection that breaks is opened anew before giving up; 4 by default. */
  readonly retries?: number
  /** Time before the first retry, in ms, doubled for each further one; 1,000 by default. */
  readonly waitMs?: number
  /** Time without a byte after which a connection counts as broken, in ms; 30,000 by default. */
  readonly idleMs?: number
}

/** How far a download is. */
export interface TransferProgress {
  /** Bytes that are on the disk, those of earlier downloads included. */
  readonly received: number
  /** Bytes of the whole file, where the server states them. */
  readonly total?: number | undefined
}

/** A download that did not come to its end. */
export class DownloadError extends Error {
  override readonly name = 'DownloadError'
  /** Bytes that are kept, and that the next download of this address continues. */
  readonly kept: number

  constructor(message: string, kept: number, options?: ErrorOptions) {
    super(message, options)
    this.kept = kept
  }
}

/**
 * Downloads one file by HTTP.
 *
 * What has arrived stays in `part`; beside it, `part`.json keeps the server's mark of the version (ETag or date of last
 * change). A later download asks for the rest (Range) on condition that the mark still holds (If-Range), and starts
 * anew where it does not. A connection that breaks or falls silent is opened again.
 *
 * @returns when `part` holds the whole file, flushed to the disk; see {@link discardDownload} for its mark
 * @throws DownloadError with the address when the server cannot be reached, refuses, or breaks off too often
 * @throws RangeError when the file is longer than it may be; the signal's reason when it was stopped
 */
export async function download(options: DownloadOptions): Promise<void> {
  const { url, part, signal, retries = 4, waitMs = 1000 } = options
  let answered = false
  for (let attempt = 0, failures = 0; ; attempt++) {
    signal?.throwIfAborted()
    const before = await resumable(part, url)
    const outcome = await transfer(options, before, () => {
      answered = true
    })
    if (outcome === 'complete') return
    signal?.throwIfAborted()
    if (outcome instanceof RangeError) {
      await discardDownload(part)
      throw outcome
    }
    const bytesKept = (await resumable(part, url))?.length ?? 0
    failures = bytesKept > (before?.length ?? 0) ? 0 : failures + 1
    // A host that never answered is not tried again: without a network the user is to learn of it at once.
    if (outcome instanceof DownloadError || !answered || failures > retries || attempt > 100) {
      const { message } = outcome
      throw new DownloadError(`${url}: file must download to its end, got ${message}`, bytesKept, {
        cause: outcome,
      })
    }
    await sleep(waitMs * 2 ** failures, undefined, signal && { signal }).catch(() => undefined)
  }
}

/** Removes the part and the mark of a download; only the mark where `part` was already moved to its place. */
export async function discardDownload(part: string): Promise<void> {
  await rm(part, { force: true })
  await rm(markPath(part), { force: true })
}

/** What an earlier download left that can be continued. */
interface Resumable {
  readonly length: number
  /** The server's mark of the version: ETag, or date of the last change. */
  readonly validator: string
}

/** What is kept beside a part. */
interface Mark {
  readonly url: string
  readonly validator: string
}

function markPath(part: string): string {
  return `${part}.json`
}

async function resumable(part: string, url: string): Promise<Resumable | undefined> {
  const stats = await stat(part).catch(() => undefined)
  const mark = await readFile(markPath(part), 'utf8').then(readMark, () => undefined)
  if (!stats?.isFile() || stats.size === 0 || mark?.url !== url) return undefined
  return { length: stats.size, validator: mark.validator }
}

function readMark(text: string): Mark | undefined {
  try {
    const { url, validator } = JSON.parse(text) as Partial<Mark>
    return typeof url === 'string' && typeof validator === 'string' ? { url, validator } : undefined
  } catch {
    return undefined
  }
}

/**
 * Downloads over one connection. Returns what went wrong: a `DownloadError` is final, other errors are worth a retry.
 */
async function transfer(
  options: DownloadOptions,
  before: Resumable | undefined,
  onAnswer: () => void,
): Promise<'complete' | DownloadError | RangeError | Error> {
  const { url, idleMs = 30_000, signal } = options
  const idle = new AbortController()
  const restart = (): void => {
    clearTimeout(timer)
    timer = setTimeout(() => idle.abort(new Error(`no byte for ${idleMs / 1000} s`)), idleMs)
  }
  let timer: NodeJS.Timeout | undefined
  restart()
  try {
    const response = await fetch(url, {
      headers: {
        'accept-encoding': 'identity',
        ...(before && { range: `bytes=${before.length}-`, 'if-range': before.validator }),
      },
      signal: signal ? AbortSignal.any([signal, idle.signal]) : idle.signal,
    })
    onAnswer()
    return await receive(response, options, before, restart)
  } catch (error) {
    const cause = idle.signal.aborted ? idle.signal.reason : error
    return cause instanceof Error ? underlyingError(cause) : new Error(String(cause))
  } finally {
    clearTimeout(timer)
  }
}

/** The error that fetch gives only as the cause of its 'fetch failed'. */
function underlyingError(error: Error): Error {
  const cause = error.cause as (Error & { code?: string }) | undefined
  if (error instanceof DownloadError || !(cause instanceof Error)) return error
  return new Error(cause.message || cause.code || 'no reason')
}

async function receive(
  response: Response,
  options: DownloadOptions,
  before: Resumable | undefined,
  alive: () => void,
): Promise<'complete' | DownloadError | RangeError | Error> {
  const { url, part } = options
  if (response.status === 416 && before) {
    await response.body?.cancel()
    const total = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1]
    if (Number(total) === before.length) return 'complete'
    await rm(part, { force: true })
    return new Error(`status 416 for the rest from byte ${before.length} (of ${total ?? 'unknown length'})`)
  }
  const problem = refusal(response)
  if (problem) {
    await response.body?.cancel()
    return problem
  }
  const continued = response.status === 206 ? before : undefined
  const start = continued?.length ?? 0
  const length = response.headers.get('content-length')
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '')
  if (continued && Number(range?.[1]) !== start) {
    await response.body?.cancel()
    await rm(part, { force: true })
    const contentRange = response.headers.get('content-range')
    return new Error(`a part that starts elsewhere than at byte ${start}: ${contentRange}`)
  }
  const total = length === null ? undefined : start + Number(length)
  if (total !== undefined && total > options.atMostBytes) {
    await response.body?.cancel()
    return tooLong(options, `${total}`)
  }
  if (!continued) await startAnew(part, url, response)
  return write(response, options, { start, total }, alive)
}

/** Why an answer cannot be used: final, unless the server is only busy. */
function refusal(response: Response): Error | undefined {
  const { status, statusText, headers } = response
  const encoding = headers.get('content-encoding') ?? 'identity'
  if (encoding !== 'identity') return new DownloadError(`it in content-encoding ${encoding}`, 0)
  if (status === 200 || status === 206) return undefined
  const text = `status ${status} ${statusText}`.trim()
  return status === 429 || status >= 500 ? new Error(text) : new DownloadError(text, 0)
}

/** Deletes the earlier part, and stores the server's mark of the version that arrives now. */
async function startAnew(part: string, url: string, { headers }: Response): Promise<void> {
  await discardDownload(part)
  const etag = headers.get('etag')
  // If-Range takes no weak tags (RFC 9110, 13.1.5).
  const validator = etag && !etag.startsWith('W/') ? etag : headers.get('last-modified')
  if (!validator) return
  await onDisk(0, () => writeFileAtomic(markPath(part), JSON.stringify({ url, validator } satisfies Mark)))
}

async function write(
  response: Response,
  options: DownloadOptions,
  { start, total }: { readonly start: number; readonly total: number | undefined },
  alive: () => void,
): Promise<'complete' | RangeError | Error> {
  const { part, atMostBytes, onProgress } = options
  let received = start
  const file = await onDisk(start, () => open(part, 'r+').catch(() => open(part, 'wx')))
  try {
    onProgress?.({ received, total })
    for await (const chunk of response.body ?? []) {
      alive()
      if (received + chunk.length > atMostBytes) return tooLong(options, 'more')
      await onDisk(received, () => writeChunk(file, chunk, received))
      received += chunk.length
      onProgress?.({ received, total })
    }
    await file.sync()
  } finally {
    await file.close()
  }
  return total === undefined || received === total ? 'complete' : new Error(`${received} of ${total} bytes`)
}

async function writeChunk(file: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  const { bytesWritten } = await file.write(chunk, 0, chunk.length, position)
  if (bytesWritten < chunk.length) throw new Error(`${bytesWritten} of ${chunk.length} bytes written`)
}

/** Makes a failure of the disk final: another connection would not help. */
async function onDisk<T>(bytesKept: number, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (cause) {
    throw new DownloadError(`no room on the disk: ${(cause as Error).message}`, bytesKept, { cause })
  }
}

function tooLong({ url, atMostBytes }: DownloadOptions, length: string): RangeError {
  return new RangeError(`${url}: file must be at most ${atMostBytes} bytes, got ${length}`)
}
