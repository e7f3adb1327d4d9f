import { statSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What a server of files was asked. */
export interface Asked {
  readonly path: string
  readonly range: string | undefined
  readonly ifRange: string | undefined
  readonly encoding: string | undefined
}

/** A server of files on this machine, with ranges and ETags. */
export interface FileServer {
  /** Its address, ending in `/`. */
  readonly address: string
  /** The requests so far. */
  readonly asked: Asked[]
  close(): Promise<void>
}

/** How a server answers one request; returns false where it leaves the answer to the server. */
export type Answer = (asked: Asked, response: ServerResponse, number: number) => boolean

/**
 * Serves files by their names.
 *
 * @param answer is asked before each answer and may give another one: errors, broken connections
 */
export async function serveFiles(
  files: Readonly<Record<string, { readonly bytes: Uint8Array; readonly etag?: string }>>,
  answer: Answer = () => false,
): Promise<FileServer> {
  const asked: Asked[] = []
  const server = createServer((request, response) => {
    const question = questionOf(request.url ?? '', request.headers)
    asked.push(question)
    if (answer(question, response, asked.length)) return
    const file = files[question.path]
    if (!file) response.writeHead(404).end('not here')
    else sendFile(question, response, file.bytes, file.etag)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    address: `http://127.0.0.1:${port}/`,
    asked,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function questionOf(url: string, headers: IncomingHttpHeaders): Asked {
  const encoding = headers['accept-encoding']
  return {
    path: url.slice(1),
    range: headers.range,
    ifRange: headers['if-range'] as string | undefined,
    encoding: Array.isArray(encoding) ? encoding.join() : encoding,
  }
}

function sendFile(
  { range, ifRange }: Asked,
  response: ServerResponse,
  bytes: Uint8Array,
  etag: string | undefined,
): void {
  const tag = etag === undefined ? {} : { etag }
  const start = range === undefined || ifRange !== etag ? undefined : Number(/\d+/.exec(range)?.[0])
  if (start === undefined) {
    response.writeHead(200, { 'content-length': bytes.length, ...tag }).end(bytes)
  } else if (start >= bytes.length) {
    response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end()
  } else {
    const rest = bytes.subarray(start)
    const contentRange = `bytes ${start}-${bytes.length - 1}/${bytes.length}`
    response
      .writeHead(206, { 'content-length': rest.length, 'content-range': contentRange, ...tag })
      .end(rest)
  }
}

/**
 * An answer that announces all bytes of a file, sends some of them and breaks the connection off once they have arrived:
 * what a client has received and not read yet is lost with its connection.
 *
 * @param part the file that they are downloaded to
 */
export function sendAndBreak(
  response: ServerResponse,
  bytes: Uint8Array,
  count: number,
  headers: Readonly<Record<string, string>>,
  part: string,
): true {
  response.writeHead(200, { 'content-length': bytes.length, ...headers })
  response.write(bytes.subarray(0, count))
  const waiting = setInterval(() => {
    if (statSync(part, { throwIfNoEntry: false })?.size === count) response.destroy()
  }, 5)
  response.on('close', () => clearInterval(waiting))
  return true
}
