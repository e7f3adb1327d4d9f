import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

/** Identifies a process, also against a later one that was given the same number. */
export interface ProcessIdentity {
  /** Eight hexadecimal digits that stand for the host and the container. */
  readonly machine: string
  readonly pid: number
  /** When it started, as letters and digits; empty where the system does not tell. */
  readonly start: string
}

let identity: ProcessIdentity | undefined

/** The identity of this process. */
export function thisProcess(): ProcessIdentity {
  identity ??= { machine: machineName(), pid: process.pid, start: startOf(process.pid) ?? '' }
  return identity
}

/**
 * Whether a process of this machine runs. A killed one that its parent has not waited for yet does not run.
 *
 * @param start as in its identity; a process of this number that started at another time is another process
 */
export function isRunning({ pid, start }: Pick<ProcessIdentity, 'pid' | 'start'>): boolean {
  const started = startOf(pid)
  return started !== undefined && (start === '' || started === '' || started === start)
}

/** When a process started: undefined where there is no such process, empty where the system does not tell. */
function startOf(pid: number): string | undefined {
  if (process.platform === 'linux') return linuxStart(pid)
  if (!takesSignals(pid)) return undefined
  if (process.platform === 'win32') return ''
  try {
    const text = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return digest(text.trim())
  } catch {
    return ''
  }
}

/** A digest that identifies the machine's start, and the clock ticks from there to the start of the process. */
function linuxStart(pid: number): string | undefined {
  const stat = readText(`/proc/${pid}/stat`)
  // Processes of other users may be hidden there.
  if (stat === undefined) return takesSignals(pid) ? '' : undefined
  // The second field is the program's name in parentheses, which may hold spaces and parentheses.
  const [state = '', ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (state === 'Z' || state === 'X') return undefined
  return `${digest(bootId())}t${rest[18] ?? ''}`
}

function takesSignals(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** The process namespace of a Linux system itself, which has this number on every machine. */
const hostNamespace = 'pid:[4026531836]'

/**
 * A digest of the host's name and the process namespace: containers may share the name, and number their processes
 * anew. Those of two hosts may share the number of the namespace as well, so the start of the host tells them apart.
 */
function machineName(): string {
  let namespace = ''
  try {
    namespace = readlinkSync('/proc/self/ns/pid')
  } catch {
    // Only Linux has process namespaces.
  }
  const isContainer = namespace !== '' && namespace !== hostNamespace
  return digest(`${hostname()}\n${namespace}${isContainer ? bootId() : ''}`)
}

function bootId(): string {
  return readText('/proc/sys/kernel/random/boot_id') ?? ''
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8)
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
