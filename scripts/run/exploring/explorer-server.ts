import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Explorer, QuestionError } from '../../../src/explore/explorer.js'
import { UsageError } from '../../terminal/usage-error.js'
import type { PageFile } from './page-files.js'

/** What a server of the explorer serves: nothing else can be asked of it. */
export interface ServedExplorer {
  readonly explorer: Explorer
  readonly page: ReadonlyMap<string, PageFile>
  /**
   * The picture of an image as a network sees it.
   *
   * @returns undefined where there is no such network or image
   * @throws Error when it cannot be read
   */
  picture(network: number, image: number, longest: number): Promise<PageFile | undefined>
  /**
   * Adds an image that a page was given.
   *
   * @throws Error when it cannot be kept
   */
  addImage(name: string, body: AsyncIterable<Uint8Array>): Promise<void>
}

/** A server that runs. */
export interface RunningServer {
  /** `http://127.0.0.1:8080/`. */
  readonly address: string
  /** Ends it, and what is being asked. */
  close(): Promise<void>
}

const HOST = '127.0.0.1'
/** Longest question, in bytes. */
const MOST_BYTES = 2 ** 20
/** Longest side of a picture in pixels that can be asked for. */
const LARGEST_PICTURE = 2048

/** Says of every answer that no other page may use it, and that the page may load nothing but this. */
const headers = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const

/**
 * Serves the explorer to this computer alone.
 *
 * @param port a free one unless given
 * @throws UsageError when the port is taken or not allowed
 */
export async function serveExplorer(served: ServedExplorer, port = 0): Promise<RunningServer> {
  const server = createServer((request, response) => {
    void respond(served, server, request, response)
  })
  server.listen(port, HOST)
  await once(server, 'listening').catch((cause: NodeJS.ErrnoException) => {
    throw cause.code === 'EADDRINUSE' || cause.code === 'EACCES'
      ? new UsageError(
          `explore: --port must be free and allowed, got ${port}: ${cause.code === 'EACCES' ? 'it is not allowed' : 'another program listens there'} (without --port a free one is taken)`,
          { cause },
        )
      : cause
  })
  return {
    address: `http://${HOST}:${portOf(server)}/`,
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

/** What a request is answered with. */
interface Answer {
  readonly status: number
  readonly type: string
  readonly bytes: Uint8Array | string
}

async function respond(
  served: ServedExplorer,
  server: Server,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const gone = new AbortController()
  response.on('close', () => gone.abort())
  const { status, type, bytes } = await answer(served, portOf(server), request, gone.signal).catch(failure)
  if (response.destroyed) return
  // What is left of a body that was refused is not read.
  const end = request.complete ? {} : { connection: 'close' }
  response.writeHead(status, { ...headers, ...end, 'content-type': type })
  response.end(request.method === 'HEAD' ? undefined : bytes)
}

/** A request that is refused. */
class RequestError extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

function failure(error: unknown): Answer {
  const message = error instanceof Error ? error.message : String(error)
  const isOfAsking = error instanceof QuestionError || error instanceof RangeError
  const status = error instanceof RequestError ? error.status : isOfAsking ? 400 : 422
  return json({ error: message }, status)
}

function json(value: unknown, status = 200): Answer {
  return { status, type: 'application/json; charset=utf-8', bytes: JSON.stringify(value) }
}

async function answer(
  served: ServedExplorer,
  port: number,
  request: IncomingMessage,
  signal: AbortSignal,
): Promise<Answer> {
  refuseOthers(request, port)
  // As it was sent: a path is a name, in which nothing is resolved.
  const [path = '', query = ''] = (request.url ?? '').split('?', 2)
  const asked = new URLSearchParams(query)
  const [before, first = '', ...rest] = path.split('/')
  if (request.method === 'POST') {
    if (path === '/ask') return json(await served.explorer.ask(await questionOf(request), signal))
    if (path === '/images') {
      await served.addImage(asked.get('name') ?? '', request)
      return json({})
    }
  } else if (request.method === 'GET' || request.method === 'HEAD') {
    if (first === 'pictures') return picture(served, rest, asked.get('longest'))
    const file =
      before === '' && rest.length === 0 ? served.page.get(first === '' ? 'index.html' : first) : undefined
    if (file) return { status: 200, ...file }
  } else {
    throw new RequestError(405, `explore: method must be GET or POST, got ${request.method}`)
  }
  throw new RequestError(404, `explore: address must be one of the explorer, got ${path}`)
}

/**
 * Refuses what other pages of the browser send: under a name that was made to point here, or from another origin.
 *
 * @throws RequestError
 */
function refuseOthers({ headers, method }: IncomingMessage, port: number): void {
  // As a browser names them: without the port of http.
  const hosts = [HOST, 'localhost'].map(name => new URL(`http://${name}:${port}`).host)
  if (!hosts.includes(headers.host ?? '')) {
    throw new RequestError(403, `explore: host must be ${hosts.join(' or ')}, got ${headers.host ?? 'none'}`)
  }
  const { origin } = headers
  if (origin !== undefined && !hosts.some(host => origin === `http://${host}`)) {
    throw new RequestError(403, `explore: origin must be the explorer itself, got ${origin}`)
  }
  const site = headers['sec-fetch-site']
  if (method === 'POST' && site !== undefined && site !== 'same-origin') {
    throw new RequestError(403, `explore: questions must come from the explorer itself, got ${site}`)
  }
}

async function questionOf(request: IncomingMessage): Promise<unknown> {
  const type = request.headers['content-type'] ?? 'none'
  if (!/^application\/json\b/.test(type)) {
    throw new RequestError(415, `explore: question must be of type application/json, got ${type}`)
  }
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    bytes += chunk.length
    if (bytes > MOST_BYTES) {
      throw new RequestError(413, `explore: question must be of at most ${MOST_BYTES} bytes, got more`)
    }
    chunks.push(chunk)
  }
  const text = Buffer.concat(chunks).toString()
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new RequestError(
      400,
      `explore: question must be JSON, got ${text.length} characters: ${(cause as Error).message}`,
    )
  }
}

/** Stands where an image cannot be read. */
const unreadable = {
  type: 'image/svg+xml',
  bytes: Buffer.from(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8" width="160" height="160"><path d="M2 2L6 6M6 2L2 6" stroke="#8a96a3" stroke-width=".5"/></svg>',
  ),
}

async function picture(
  served: ServedExplorer,
  numbers: readonly string[],
  longest: string | null,
): Promise<Answer> {
  const [network = -1, image = -1] = numbers.map(text => (/^\d{1,9}$/.test(text) ? Number(text) : -1))
  const side = /^\d{1,9}$/.test(longest ?? '') ? Number(longest) : LARGEST_PICTURE
  const isAsked = numbers.length === 2 && network >= 0 && image >= 0
  // What cannot be read is told by the answers about it.
  const file =
    isAsked &&
    (await served
      .picture(network, image, Math.min(LARGEST_PICTURE, Math.max(16, side)))
      .catch(() => unreadable))
  if (file) return { status: 200, ...file }
  throw new RequestError(404, `explore: picture must be one of the explorer, got ${numbers.join('/')}`)
}
