import { setTimeout as sleep } from 'node:timers/promises'
import { SharedRoom } from '../shared-room.js'
import { checkTransport } from './address.js'
import type { Retrying } from './storage-options.js'

/** Where an object is, and how it is asked for. */
export interface ObjectPlace {
  readonly url: URL
  /** Its address for people, without anything secret. */
  readonly shown: string
  /** Headers that authorise a request to an address of this service. */
  authorise?(url: URL): Promise<Readonly<Record<string, string>>>
  /** What a refusal means and what to do about it, where that can be told. */
  advise?(status: number, headers: Pick<Headers, 'get'>): string | undefined
}

/** An object that cannot be read. */
export class StorageError extends Error {
  override readonly name = 'StorageError'
  /** Of the answer, where there was one. */
  readonly status: number | undefined

  constructor(message: string, status?: number, options?: ErrorOptions) {
    super(message, options)
    this.status = status
  }
}

/** A failure that may pass. */
class PassingError extends Error {
  /** When the server wants to be asked again, in ms. */
  readonly againMs: number | undefined

  constructor(message: string, againMs?: number) {
    super(message)
    this.againMs = againMs
  }
}

/** An answer whose bytes have not come yet. */
export interface Answer {
  readonly status: number
  readonly headers: Pick<Headers, 'get'>
  /** The bytes as they come; throws where no more come for a time. */
  chunks(): AsyncGenerator<Uint8Array, void, undefined>
  /** Lets go of bytes that are not wanted. */
  discard(): Promise<void>
}

const mostRedirects = 5
/** Requests for parts of objects that are under way at a time. */
const requestsAtOnce = 16
const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])
/** What one may be told to wait before asking again, in ms. */
const mostWaitMs = 60_000

/** Asks one service for objects: again where that may help, and wherever it redirects to. */
export class Requests {
  private readonly retrying: Retrying
  private readonly allowHttp: boolean
  /** What requests for parts of objects take a place in, one each. */
  readonly room = new SharedRoom(requestsAtOnce)
  /** Whether the service has answered before: where nobody answers at all, the user is to learn of it at once. */
  private hasAnswered = false

  constructor(retrying: Retrying, allowHttp: boolean) {
    this.retrying = retrying
    this.allowHttp = allowHttp
  }

  /**
   * Does something that makes requests, again where it fails in a way that may pass.
   *
   * @param progress how far the work is; after progress the retries are counted anew
   * @throws StorageError with the address and the last reason
   */
  async persist<T>(place: ObjectPlace, work: () => Promise<T>, progress: () => number = () => 0): Promise<T> {
    const { retries, waitMs } = this.retrying
    let before = progress()
    for (let failures = 0; ; failures++) {
      try {
        return await work()
      } catch (error) {
        if (!(error instanceof PassingError)) throw error
        if (progress() > before) failures = 0
        before = progress()
        if (!this.hasAnswered || failures >= retries) {
          const tries = failures > 0 ? ` (tried ${failures + 1} times)` : ''
          throw new StorageError(
            `${place.shown}: must be readable, got ${error.message}${tries}`,
            undefined,
            { cause: error },
          )
        }
        await sleep(error.againMs ?? waitMs * 2 ** failures * (0.5 + Math.random()))
      }
    }
  }

  /** Says that an answer ended too early, which may pass. */
  cutShort(received: string): never {
    throw new PassingError(`an answer that ended after ${received}`)
  }

  /**
   * Makes one request.
   *
   * @returns the answer, of status 200, 206, 304 or 416
   * @throws StorageError when the request is refused; other errors may pass, see {@link persist}
   */
  async ask(place: ObjectPlace, headers: Readonly<Record<string, string>>): Promise<Answer> {
    const idle = new IdleClock(this.retrying.idleMs)
    let { url } = place
    for (let followed = 0; ; followed++) {
      const authority = url.origin === place.url.origin ? await place.authorise?.(url) : undefined
      const response = await idle
        .within(signal =>
          fetch(url, {
            redirect: 'manual',
            headers: { ...authority, ...headers, 'accept-encoding': 'identity' },
            signal,
          }),
        )
        .catch((error: unknown) => {
          throw passing(error)
        })
      this.hasAnswered = true
      const target = redirects.has(response.status) ? response.headers.get('location') : null
      if (target === null) return this.answer(place, response, idle)
      await discard(response)
      if (followed === mostRedirects) {
        throw new StorageError(`${place.shown}: must redirect at most ${mostRedirects} times, got more`)
      }
      url = this.redirected(place, url, target)
    }
  }

  private redirected({ shown }: ObjectPlace, from: URL, target: string): URL {
    const url = URL.canParse(target, from) ? new URL(target, from) : undefined
    const isSafe = url?.protocol === 'https:' || (url?.protocol === 'http:' && from.protocol === 'http:')
    if (!url || !isSafe) {
      throw new StorageError(`${shown}: must redirect to https://, got ${url ? url.origin : 'no address'}`)
    }
    if (url.username !== '' || url.password !== '') {
      throw new StorageError(
        `${shown}: must redirect to an address without user name and password, got some for ${url.origin}`,
      )
    }
    try {
      checkTransport(url, this.allowHttp)
    } catch (cause) {
      throw new StorageError(
        `${shown}: must redirect to a safe address, got ${(cause as Error).message}`,
        undefined,
        { cause },
      )
    }
    return url
  }

  private async answer(place: ObjectPlace, response: Response, idle: IdleClock): Promise<Answer> {
    const { status, headers } = response
    if (![200, 206, 304, 416].includes(status)) {
      const code = await errorCode(response, idle)
      if (status === 404 || status === 410) {
        throw new StorageError(
          `${place.shown}: must be readable, got nothing there${code && ` (${code})`}`,
          status,
        )
      }
      const reason = `status ${status} ${code || response.statusText}`.trim()
      if (status === 408 || status === 429 || status >= 500)
        throw new PassingError(reason, retryAfter(headers))
      const advice = place.advise?.(status, headers)
      throw new StorageError(
        `${place.shown}: must be readable, got ${reason}${advice ? ` (${advice})` : ''}`,
        status,
      )
    }
    const encoding = headers.get('content-encoding') ?? 'identity'
    if (encoding !== 'identity') {
      await discard(response)
      throw new StorageError(
        `${place.shown}: must be sent as it is, got it in content-encoding ${encoding}`,
        status,
      )
    }
    return {
      status,
      headers,
      chunks: () => chunksOf(response, idle),
      discard: () => discard(response),
    }
  }
}

async function discard({ body }: Response): Promise<void> {
  // Where the connection is broken there is nothing to let go of.
  await body?.cancel().catch(() => undefined)
}

async function* chunksOf(response: Response, idle: IdleClock): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = response.body?.getReader()
  if (!reader) return
  try {
    for (;;) {
      const { done, value } = await idle.within(() => reader.read())
      if (done) return
      yield value as Uint8Array
    }
  } catch (error) {
    throw passing(error)
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

/** The code of an error that services of buckets name in their answers: NoSuchBucket. The rest may quote keys. */
async function errorCode(response: Response, idle: IdleClock): Promise<string> {
  let text = ''
  try {
    for await (const chunk of chunksOf(response, idle)) {
      text += new TextDecoder().decode(chunk)
      if (text.length > 4096) break
    }
  } catch {
    return ''
  }
  return /<Code>(\w+)<\/Code>/.exec(text)?.[1] ?? ''
}

function retryAfter(headers: Pick<Headers, 'get'>): number | undefined {
  const text = headers.get('retry-after')
  if (text === null) return undefined
  const ms = /^\d+$/.test(text) ? 1000 * Number(text) : Date.parse(text) - Date.now()
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), mostWaitMs) : undefined
}

/** The error that fetch gives only as the cause of its 'fetch failed'. */
function passing(error: unknown): PassingError {
  const { cause } = error as { cause?: unknown }
  const inner = cause instanceof Error ? (cause as NodeJS.ErrnoException) : (error as NodeJS.ErrnoException)
  return new PassingError(inner.message || inner.code || 'no reason')
}

/** Ends what waits for bytes that do not come. */
class IdleClock {
  private readonly idleMs: number
  private readonly controller = new AbortController()

  constructor(idleMs: number) {
    this.idleMs = idleMs
  }

  /** Waits for something that the signal ends; time that is spent elsewhere does not count. */
  async within<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { signal } = this.controller
    const timer = setTimeout(
      () => this.controller.abort(new Error(`no byte for ${this.idleMs / 1000} s`)),
      this.idleMs,
    )
    try {
      return await work(signal)
    } catch (error) {
      throw signal.aborted ? signal.reason : error
    } finally {
      clearTimeout(timer)
    }
  }
}
