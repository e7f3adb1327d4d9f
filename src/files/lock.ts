import { rmSync } from 'node:fs'
import { open, readdir, readFile, rm, rmdir, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import * as z from 'zod'
import { lookForAbandoned } from './atomic.js'
import { isMissing, makeFolder } from './folders.js'
import { isRunning, type ProcessIdentity, thisProcess } from './process-identity.js'

/*
 * Each process that wants a folder puts a file of its own beside what it wants, a claim, and then looks for the claims
 * of others. So of two that want it at the same time at least one sees the other. Nobody ever takes over a claim: those
 * of processes that have ended are deleted, and their names are never used again.
 */

/** A folder or file that this process works on; others are refused meanwhile. */
export interface Lock {
  /** When a killed process that was making it anew gave its last sign of life, in milliseconds since 1970. */
  readonly brokenOffAt?: number
  /** The process that had it for itself and ended without releasing it: `process 17 on node3 (study)`. */
  readonly takenFrom?: string
  /** Aborts when others have taken it, because this process gave no sign of life for too long: it was stopped, or cut off. */
  readonly lost: AbortSignal
  /** Lets others have it; a folder that was made for the lock and is empty goes as well. */
  release(): Promise<void>
}

/** How something is locked. */
export interface LockOptions {
  /** Processes that share it are refused only while one has it for itself. */
  readonly shared?: boolean
  /** Whether what is locked did not exist before. */
  readonly making?: boolean
  /** A process whose lock does not count: the one that started this one. */
  readonly parent?: number
  /** How long to wait for others, in milliseconds; 0 by default. */
  readonly waitMs?: number
}

/** A folder or file is in use by another process. */
export class LockedError extends Error {
  override readonly name = 'LockedError'
}

const folderPrefix = '.pmoe-lock'
/** How often a process that holds a lock gives a sign of life, in milliseconds. */
export const heartbeatMs = 10_000
/** A process of another machine without a sign of life for so long counts as ended, in milliseconds. */
export const silenceMs = 120_000
/** How often to try: two processes that claim at the same time both withdraw and try again. */
const attempts = 4

/**
 * Locks a folder for this process, and makes it where it is not there.
 *
 * @param where the caller, for errors
 * @throws LockedError naming the process that has it; what the file system throws when it cannot be written to
 */
export async function lockFolder(directory: string, where: string, options: LockOptions = {}): Promise<Lock> {
  const isNew = await stat(directory).then(
    () => false,
    (error: unknown) => isMissing(error),
  )
  await makeFolder(directory)
  const lock = await claim(directory, folderPrefix, { ...options, where, path: directory })
  const release = async () => {
    await lock.release()
    if (isNew && (await readdir(directory)).length === 0) await rmdir(directory)
  }
  return { ...lock, release }
}

/**
 * Locks a file for this process. The file need not exist; its folder must.
 *
 * @throws as {@link lockFolder}
 */
export function lockFile(path: string, where: string, options: LockOptions = {}): Promise<Lock> {
  const [folder, prefix] = filePlace(path)
  return claim(folder, prefix, { ...options, where, path })
}

function filePlace(path: string): [folder: string, prefix: string] {
  return [dirname(resolve(path)), `.${basename(path)}${folderPrefix}`]
}

/**
 * Checks that no process has a folder for itself, without locking it.
 *
 * @throws LockedError naming the process
 */
export async function refuseLocked(directory: string, where: string): Promise<void> {
  const claims = await readdir(directory).then(
    names => claimsAmong(names, folderPrefix).filter(({ mode }) => mode !== 'shared'),
    () => [],
  )
  const holder = await firstLive(directory, claims, Date.now())
  if (holder) throw await lockedError(directory, holder, { where, path: directory })
}

/**
 * When a killed process that was making a file or folder anew gave its last sign of life; undefined where there was
 * none.
 *
 * @param isFolder as it was locked
 */
export async function brokenOffAt(path: string, isFolder: boolean): Promise<number | undefined> {
  const [folder, prefix] = isFolder ? [path, folderPrefix] : filePlace(path)
  const claims = claimsAmong(await readdir(folder).catch(() => []), prefix)
  return lastMaking(folder, await deadAmong(folder, claims, Date.now()))
}

/**
 * When the process that has something gave its last sign of life, in milliseconds of the clock of the file system since
 * 1970; undefined where none has it. It gives the next one within {@link heartbeatMs}.
 *
 * @param isFolder as it was locked
 */
export async function signOfLife(path: string, isFolder: boolean): Promise<number | undefined> {
  const [folder, prefix] = isFolder ? [path, folderPrefix] : filePlace(path)
  const times: number[] = []
  for (const { file, mode } of claimsAmong(await readdir(folder).catch(() => []), prefix)) {
    const stats = mode !== 'shared' && (await stat(join(folder, file)).catch(() => undefined))
    if (stats) times.push(stats.mtimeMs)
  }
  return times.length === 0 ? undefined : Math.max(...times)
}

/** Whether an entry of a folder is the claim of a process that works, or worked, on the folder. */
export function isLockFile(name: string): boolean {
  return claimsAmong([name], folderPrefix).length > 0
}

const plainText = z.string().regex(/^[\w .:-]{1,100}$/)
/** The content of a claim's file, which may be cut off. */
const claimText = z.object({ host: plainText, where: plainText })

type Mode = 'own' | 'shared' | 'making'

/** The claim of a process, as its file's name tells it. */
interface Claim extends ProcessIdentity {
  readonly file: string
  readonly mode: Mode
}

interface Claiming extends LockOptions {
  readonly where: string
  /** What is locked. */
  readonly path: string
}

const claimPaths = new Set<string>()
let count = 0

async function claim(folder: string, prefix: string, claiming: Claiming): Promise<Lock> {
  const { machine, pid, start } = thisProcess()
  const mode: Mode = claiming.shared ? 'shared' : claiming.making ? 'making' : 'own'
  const deadline = performance.now() + (claiming.waitMs ?? 0)
  let broken: number | undefined
  let takenFrom: string | undefined
  for (let attempt = 1; ; attempt++) {
    const file = `${prefix}.${machine}.${pid}.${start}.${count++}.${mode}`
    const path = join(folder, file)
    await writeClaim(path, claiming.where)
    const now = (await stat(path)).mtimeMs
    const others = claimsAmong(await readdir(folder), prefix).filter(other => other.file !== file)
    const dead = await deadAmong(folder, others, now)
    broken ??= await lastMaking(folder, dead)
    takenFrom ??= await formerHolder(folder, dead)
    for (const { file: deadFile } of dead) await rm(join(folder, deadFile), { force: true })
    const rivals = others.filter(({ mode: otherMode, pid: otherPid, machine: otherMachine }) => {
      return (
        !(mode === 'shared' && otherMode === 'shared') &&
        !(otherPid === claiming.parent && otherMachine === machine)
      )
    })
    const holder = await firstLive(folder, rivals, now)
    if (!holder) lookForAbandoned()
    if (!holder) {
      return {
        ...(broken !== undefined && { brokenOffAt: broken }),
        ...(takenFrom !== undefined && { takenFrom }),
        ...heldLock(folder, prefix, path, claiming),
      }
    }
    await removeClaim(path)
    if (attempt >= attempts && performance.now() >= deadline)
      throw await lockedError(folder, holder, claiming)
    await pause(20 + 100 * Math.random())
  }
}

async function writeClaim(path: string, where: string): Promise<void> {
  watchExit()
  claimPaths.add(path)
  try {
    const file = await open(path, 'wx')
    await file.writeFile(contentOf(where)).finally(() => file.close())
  } catch (error) {
    await removeClaim(path)
    throw error
  }
}

function contentOf(where: string): string {
  return JSON.stringify({ host: hostname(), where })
}

/**
 * Writes a claim anew, so that its time is that of the file system: the clocks of machines may be apart.
 *
 * @throws what the file system throws, ENOENT where others have removed it
 */
async function giveSignOfLife(path: string, where: string): Promise<void> {
  const file = await open(path, 'r+')
  await file.write(contentOf(where), 0).finally(() => file.close())
}

async function removeClaim(path: string): Promise<void> {
  await rm(path, { force: true })
  claimPaths.delete(path)
}

function heldLock(
  folder: string,
  prefix: string,
  path: string,
  { where, path: locked }: Pick<Claiming, 'where' | 'path'>,
): Lock {
  const lost = new AbortController()
  const heartbeat = setInterval(() => {
    giveSignOfLife(path, where).catch((error: unknown) => {
      if (!isMissing(error) || !claimPaths.delete(path)) return
      clearInterval(heartbeat)
      lost.abort(
        new LockedError(`${where}: ${locked} must stay with this process, got it taken by another one`),
      )
    })
  }, heartbeatMs)
  heartbeat.unref()
  const release = async () => {
    clearInterval(heartbeat)
    if (!claimPaths.has(path)) return
    const now = await stat(path).catch(() => undefined)
    await removeClaim(path)
    // Also removes the claims of processes that this one started and that crashed.
    const others = claimsAmong(await readdir(folder).catch(() => []), prefix)
    for (const { file } of await deadAmong(folder, others, now?.mtimeMs ?? Date.now())) {
      await rm(join(folder, file), { force: true })
    }
  }
  return { lost: lost.signal, release }
}

let watching = false

/** Removes the claims of this process when it exits without releasing them, as after a second Ctrl-C. */
function watchExit(): void {
  if (watching) return
  watching = true
  process.on('exit', () => {
    for (const path of claimPaths) rmSync(path, { force: true })
  })
}

function claimsAmong(names: readonly string[], prefix: string): Claim[] {
  return names.flatMap(file => {
    if (!file.startsWith(`${prefix}.`)) return []
    const parts = /^([0-9a-f]{8})\.(\d+)\.(\w*)\.\d+\.(own|shared|making)$/.exec(
      file.slice(prefix.length + 1),
    )
    if (!parts) return []
    const [, machine = '', pid = '', start = '', mode] = parts
    return [{ file, machine, pid: Number(pid), start, mode: mode as Mode }]
  })
}

async function firstLive(folder: string, claims: readonly Claim[], now: number): Promise<Claim | undefined> {
  for (const each of claims) if (await isLive(folder, each, now)) return each
  return undefined
}

async function deadAmong(folder: string, claims: readonly Claim[], now: number): Promise<Claim[]> {
  const dead: Claim[] = []
  for (const each of claims) if (!(await isLive(folder, each, now))) dead.push(each)
  return dead
}

async function lastMaking(folder: string, claims: readonly Claim[]): Promise<number | undefined> {
  const times: number[] = []
  for (const { mode, file } of claims) {
    const stats = mode === 'making' && (await stat(join(folder, file)).catch(() => undefined))
    if (stats) times.push(stats.mtimeMs)
  }
  return times.length === 0 ? undefined : Math.max(...times)
}

/** @param now by the clock of the file system */
async function isLive(folder: string, { machine, pid, start, file }: Claim, now: number): Promise<boolean> {
  if (machine === thisProcess().machine) return isRunning({ pid, start })
  const stats = await stat(join(folder, file)).catch(() => undefined)
  return stats !== undefined && now - stats.mtimeMs < silenceMs
}

async function formerHolder(folder: string, dead: readonly Claim[]): Promise<string | undefined> {
  const holder = dead.find(({ mode }) => mode !== 'shared')
  if (!holder) return undefined
  const { process: of, caller } = await holderText(folder, holder)
  return of + caller
}

/** A process and, in parentheses, what it does, as its claim tells them. */
async function holderText(
  folder: string,
  { pid, machine, file }: Claim,
): Promise<{ readonly process: string; readonly caller: string }> {
  const content = await readFile(join(folder, file), 'utf8')
    .then(text => claimText.parse(JSON.parse(text)))
    .catch(() => undefined)
  const host = machine === thisProcess().machine ? '' : ` on ${content?.host ?? 'another machine'}`
  return { process: `process ${pid}${host}`, caller: content ? ` (${content.where})` : '' }
}

async function lockedError(
  folder: string,
  holder: Claim,
  { where, path }: Pick<Claiming, 'where' | 'path'>,
): Promise<LockedError> {
  const { pid, machine } = holder
  const text = await holderText(folder, holder)
  const isThisMachine = machine === thisProcess().machine
  const advice = isThisMachine
    ? 'wait until it has ended, or end it'
    : `wait until it has ended; if it was killed, try again in ${silenceMs / 60_000} minutes`
  const selfText = pid === process.pid && isThisMachine ? ', this one' : ''
  return new LockedError(
    `${where}: ${path} must not be in use, got ${text.process}${selfText}${text.caller}: ${advice}`,
  )
}
