import { AsyncLocalStorage } from 'node:async_hooks'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { basename, dirname, join } from 'node:path'

/*
 * Counts what a command changes on the disk, and ends the command at one of these operations as a killed process would
 * end: nothing that it does after that reaches the disk, not even the clearing up of a `finally`. A whole command takes
 * a fraction of the time that a process takes to start, so that every operation can be tried.
 */

/** How a command ended. */
export type Ending<T> =
  | { readonly killed: true }
  | { readonly killed: false; readonly value: T; readonly points: number }

/** One call of a command. */
interface Call {
  readonly root: string
  /** The point at which it is killed; 0 for never. */
  readonly at: number
  readonly onKill: () => void
  points: number
  killed: boolean
}

const calls = new AsyncLocalStorage<Call>()
/** Files that were opened to be written, by their handle. */
const written = new WeakMap<object, string>()
const never = new Promise<never>(() => undefined)

/** A process id that no process has: ids end at 2^22. */
const deadPid = 2 ** 22 + 1

/**
 * Runs a command and kills it before an operation that changes something below a folder, or in the middle of one that
 * takes several steps.
 *
 * @param root the folder
 * @param at the operation, from 1; 0 lets the command end and counts them
 */
export async function killedAt<T>(root: string, at: number, command: () => Promise<T>): Promise<Ending<T>> {
  await instrument(root)
  const listenersBefore = signals.map(signal => process.listeners(signal))
  let call: Call | undefined
  const kill = new Promise<{ killed: true }>(resolve => {
    call = { root, at, points: 0, killed: false, onKill: () => resolve({ killed: true }) }
  })
  const end = calls.run(call as unknown as Call, command).then(value => {
    return { killed: false, value, points: (call as unknown as Call).points } as const
  })
  const ending = await Promise.race([kill, end])
  if (ending.killed) {
    // A killed process receives no more signals.
    for (const [i, signal] of signals.entries()) {
      for (const listener of process.listeners(signal)) {
        if (!listenersBefore[i]?.includes(listener)) process.off(signal, listener)
      }
    }
    await disownFiles(root)
  }
  return ending
}

const signals = ['SIGINT', 'SIGTERM'] as const

/** Renames files that bear the id of this process, which still runs, so that they bear the id of none. */
async function disownFiles(root: string): Promise<void> {
  for (const entry of await fs.promises.readdir(root, { recursive: true })) {
    const name = basename(entry)
    const renamed = name
      .replace(`.${process.pid}.`, `.${deadPid}.`)
      .replace(`-${process.pid}-`, `-${deadPid}-`)
    if (renamed !== name) await fs.promises.rename(join(root, entry), join(root, dirname(entry), renamed))
  }
}

let instrumented = false

async function instrument(root: string): Promise<void> {
  if (instrumented) return
  instrumented = true
  const { promises } = fs
  const handle = await promises.open(root, 'r')
  const ofHandle = Object.getPrototypeOf(handle)
  await handle.close()
  const open = promises.open
  promises.open = (async (path: string, flags: string | number = 'r', mode?: number) => {
    const changes = typeof flags === 'string' && flags !== 'r'
    const opened = await (changes ? step(path, () => open(path, flags, mode)) : open(path, flags, mode))
    if (changes) written.set(opened, path)
    return opened
  }) as typeof open
  const names = ['rename', 'unlink', 'mkdir', 'rmdir', 'truncate', 'utimes'] as const
  for (const name of names) replace(promises, name, (path, real) => step(path, real))
  replace(promises, 'rm', (path, real) => step(path, real, () => removeHalf(path)))
  for (const name of ['writeFile', 'appendFile'] as const) {
    replace(promises, name, (path, real, values) =>
      step(path, real, () => real(path, firstHalf(values[1] as Content))),
    )
  }
  for (const name of ['writeFile', 'write', 'sync', 'truncate']) {
    const real = ofHandle[name] as (this: object, ...values: unknown[]) => Promise<unknown>
    ofHandle[name] = function (this: object, ...values: unknown[]) {
      const path = written.get(this)
      if (path === undefined) return real.apply(this, values)
      const half = () => real.call(this, firstHalf(values[0] as Content))
      return step(path, () => real.apply(this, values), name === 'writeFile' ? half : undefined)
    }
  }
  syncBuiltinESMExports()
}

interface Content {
  readonly length: number
  slice(start: number, end: number): unknown
}

function firstHalf(content: Content): unknown {
  return content.slice(0, Math.floor(content.length / 2))
}

function replace(
  promises: typeof fs.promises,
  name: keyof typeof fs.promises,
  around: (
    path: string,
    real: (...values: unknown[]) => Promise<unknown>,
    values: readonly unknown[],
  ) => Promise<unknown>,
): void {
  const original = promises[name] as (...values: unknown[]) => Promise<unknown>
  const wrapped = (...values: unknown[]) => {
    const real = (...others: unknown[]) => original(...(others.length > 0 ? others : values))
    return around(String(values[0]), real, values)
  }
  Object.assign(promises, { [name]: wrapped })
}

async function step<T>(path: string, real: () => Promise<T>, half?: () => Promise<unknown>): Promise<T> {
  const call = calls.getStore()
  if (!call || !path.startsWith(call.root)) return real()
  if (call.killed || isKilled(call)) return never
  if (half && call.at === call.points + 1) await half()
  if (half && isKilled(call)) return never
  return real()
}

function isKilled(call: Call): boolean {
  call.points++
  if (call.points !== call.at) return false
  call.killed = true
  call.onKill()
  return true
}

/** What a recursive deletion has done when it is killed: some of the entries are gone. */
async function removeHalf(path: string): Promise<void> {
  const entries = await fs.promises.readdir(path).catch(() => [])
  for (const entry of entries.slice(0, Math.ceil(entries.length / 2))) {
    fs.rmSync(join(path, entry), { recursive: true, force: true })
  }
}
