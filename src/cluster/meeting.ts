import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import * as z from 'zod'
import type { ClusterSpec } from './cluster-spec.js'

/** What a worker tells those that connect before TensorFlow's server takes its address over. */
const greetingSchema = z.object({ workers: z.array(z.string()), index: z.number() })
type Greeting = z.infer<typeof greetingSchema>

/** How often a worker that is not there is looked for, and how long it may take to greet; milliseconds. */
const EVERY_MS = 200
const GREETING_MS = 2_000

/** The longest greeting that is read, in characters: thousands of workers with long names. */
const LONGEST_GREETING = 1 << 20

/**
 * Waits until every worker of a cluster is at its address, and is the one that is meant. TensorFlow's own wait would not say who is
 * missing.
 *
 * @param host the address of IPv4 or IPv6 of this worker
 * @param seconds to wait at most
 * @throws Error where this worker's address is taken or of another machine, or naming the workers that did not come; RangeError where one
 *   belongs to another cluster, or has another rank
 */
export async function meetWorkers(spec: ClusterSpec, host: string, seconds: number): Promise<void> {
  const { workers, index } = spec
  const greeter = await greetAt(spec, host)
  const late = performance.now() + seconds * 1000
  let missing = [...workers.keys()].filter(rank => rank !== index)
  try {
    for (;;) {
      const found = await Promise.all(missing.map(rank => greetingOf(workers[rank] as string)))
      for (const [i, rank] of missing.entries()) checkGreeting(found[i], rank, spec)
      missing = missing.filter((_, i) => found[i] === undefined)
      if (missing.length === 0) return
      if (performance.now() > late) throw tooFew(spec, host, missing, seconds)
      await pause(EVERY_MS)
    }
  } finally {
    await greeter.close()
  }
}

function tooFew(
  { workers, index }: ClusterSpec,
  host: string,
  missing: readonly number[],
  seconds: number,
): Error {
  const hostOf = (rank: number) => (workers[rank] as string).replace(/:\d+$/, '')
  // Where a machine's own name means such an address to itself, it waits in vain, and so do the others.
  const isHidden = /^(127\.|::1$)/.test(host) && missing.some(rank => hostOf(rank) !== hostOf(index))
  const names = missing.map(rank => `worker ${rank} (${workers[rank]})`).join(' and ')
  return new Error(
    `joinCluster: all ${workers.length} workers must be there within ${seconds} s, got none of ${names} ` +
      `(looked for by worker ${index}${isHidden ? `, which listens at ${host}, where no other machine finds it` : ''}; ` +
      '--start-timeout waits longer)',
  )
}

function checkGreeting(
  greeting: Greeting | 'other' | undefined,
  rank: number,
  { workers }: ClusterSpec,
): void {
  if (greeting === undefined || greeting === 'other') return
  if (greeting.index === rank && greeting.workers.join() === workers.join()) return
  throw new RangeError(
    `joinCluster: worker ${rank} (${workers[rank]}) must be ${rank} of the workers ${workers.join(', ')}, ` +
      `got one that is ${greeting.index} of ${greeting.workers.join(', ')}`,
  )
}

/** What listens at an address: a greeting, something else such as TensorFlow's server of a worker that has met all, or nothing. */
function greetingOf(address: string): Promise<Greeting | 'other' | undefined> {
  const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? []
  return new Promise(resolve => {
    let text = ''
    let isConnected = false
    const socket = connect({ host, port: Number(port) })
    const end = () => {
      socket.destroy()
      resolve(isConnected ? parsed(text) : undefined)
    }
    socket.setTimeout(GREETING_MS, end)
    socket.on('connect', () => {
      isConnected = true
    })
    socket.setEncoding('utf8').on('data', (part: string) => {
      text += part
      if (text.endsWith('\n') || !text.startsWith('{') || text.length > LONGEST_GREETING) end()
    })
    socket.on('error', end)
    socket.on('close', end)
  })
}

function parsed(text: string): Greeting | 'other' {
  try {
    return greetingSchema.parse(JSON.parse(text))
  } catch {
    return 'other'
  }
}

/** @throws Error where the address is taken, or of another machine */
function greetAt({ workers, index }: ClusterSpec, host: string): Promise<{ close(): Promise<void> }> {
  const own = workers[index] as string
  const greeting: Greeting = { workers: [...workers], index }
  const port = Number(own.slice(own.lastIndexOf(':') + 1))
  const sockets = new Set<Socket>()
  return new Promise((resolve, reject) => {
    const server = createServer(socket => {
      sockets.add(socket.on('error', () => undefined).on('close', () => sockets.delete(socket)))
      // Without reading, the end of the other side would not be noticed.
      socket.resume().end(`${JSON.stringify(greeting)}\n`)
    })
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const got =
        cause.code === 'EADDRINUSE'
          ? 'one that is taken (by another worker of this rank, or another program)'
          : cause.code === 'EADDRNOTAVAIL'
            ? `${host}, which is not of this machine`
            : cause.message
      reject(new Error(`joinCluster: ${own} must be a free address of this machine, got ${got}`, { cause }))
    })
    const close = () =>
      new Promise<void>(closed => {
        server.close(() => closed())
        for (const socket of sockets) socket.destroy()
      })
    server.listen({ host, port, exclusive: true }, () => resolve({ close }))
  })
}
