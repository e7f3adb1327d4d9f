import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A request to the server. */
export interface AskedObject {
  readonly path: string
  readonly range: string | undefined
  readonly request: IncomingMessage
}

/** How a server of objects behaves; may be changed while it runs. */
export interface ServerBehaviour {
  /** Whether it sends parts; `true` by default. */
  ranges?: boolean
  /** What it says of versions: an ETag by default. */
  marks?: 'etag' | 'date' | 'none'
  /** Is asked before each answer, and returns whether it gave another one. */
  answer?: (asked: AskedObject, response: ServerResponse, number: number) => boolean
}

/** A server of objects on this machine. */
export interface ObjectServer {
  /** Its address, without a slash at its end. */
  readonly address: string
  readonly objects: Map<string, Uint8Array>
  readonly behaviour: ServerBehaviour
  /** The requests so far. */
  readonly asked: AskedObject[]
  /** Bytes of objects that were sent so far. */
  sent(): number
  close(): Promise<void>
}

/** Serves objects by their paths, with ranges, ETags and what the behaviour says. */
export async function serveObjects(
  objects: Readonly<Record<string, Uint8Array>>,
  behaviour: ServerBehaviour = {},
): Promise<ObjectServer> {
  const stored = new Map(Object.entries(objects))
  const asked: AskedObject[] = []
  let sent = 0
  const server = createServer((request, response) => {
    const [path = ''] = (request.url ?? '').slice(1).split('?')
    const question = { path: decodeURIComponent(path), range: request.headers.range, request }
    asked.push(question)
    if (behaviour.answer?.(question, response, asked.length)) return
    const bytes = stored.get(question.path)
    if (bytes) sent += sendObject(question, response, bytes, behaviour)
    else response.writeHead(404).end('not here')
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    objects: stored,
    behaviour,
    asked,
    sent: () => sent,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** The ETag of an object. */
export const tagOf = (bytes: Uint8Array): string => `"${createHash('md5').update(bytes).digest('hex')}"`

function sendObject(
  { range, request }: AskedObject,
  response: ServerResponse,
  bytes: Uint8Array,
  { ranges = true, marks = 'etag' }: ServerBehaviour,
): number {
  const headers = {
    ...(marks === 'etag' && { etag: tagOf(bytes) }),
    ...(marks === 'date' && { 'last-modified': new Date(1e12 + 1000 * (bytes[0] ?? 0)).toUTCString() }),
  }
  if (marks === 'etag' && request.headers['if-none-match'] === tagOf(bytes)) {
    response.writeHead(304, headers).end()
    return 0
  }
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? []
  if (!ranges || from === undefined) {
    response.writeHead(200, { 'content-length': bytes.length, ...headers }).end(bytes)
    return bytes.length
  }
  if (Number(from) >= bytes.length) {
    response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end()
    return 0
  }
  const part = bytes.subarray(Number(from), Number(to) + 1)
  const contentRange = `bytes ${from}-${Number(from) + part.length - 1}/${bytes.length}`
  response
    .writeHead(206, { 'content-length': part.length, 'content-range': contentRange, ...headers })
    .end(part)
  return part.length
}

/** Sends the headers of an answer and some of its bytes, then breaks off the connection. */
export function breakOff(
  response: ServerResponse,
  bytes: Uint8Array,
  { from, count }: { readonly from: number; readonly count: number },
): true {
  const end = Math.min(bytes.length, from + 2 ** 23)
  response.writeHead(206, {
    'content-length': end - from,
    'content-range': `bytes ${from}-${end - 1}/${bytes.length}`,
    etag: tagOf(bytes),
  })
  response.write(bytes.subarray(from, from + count), () => setTimeout(() => response.destroy(), 20))
  return true
}
