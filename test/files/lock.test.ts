import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  heartbeatMs,
  isLockFile,
  LockedError,
  lockFile,
  lockFolder,
  refuseLocked,
  signOfLife,
} from '../../src/files/lock.js'
import { isRunning, thisProcess } from '../../src/files/process-identity.js'

let root: string
const children: ChildProcess[] = []

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'lock-'))
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await rm(root, { recursive: true, force: true })
})

/** A process that does nothing until it is killed. */
function idle(): ChildProcess {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
  children.push(child)
  return child
}

/** Puts the claim of another process into the folder. */
async function claimOf(pid: number, more: { start?: string; machine?: string; mode?: string } = {}) {
  const { machine = thisProcess().machine, start = '', mode = 'own' } = more
  const path = join(root, `.pmoe-lock.${machine}.${pid}.${start}.0.${mode}`)
  await writeFile(path, JSON.stringify({ host: 'elsewhere', where: 'train' }))
  return path
}

describe('a locked folder', () => {
  test('is refused to others until it is released, and leaves nothing behind', async () => {
    const lock = await lockFolder(root, 'train')
    await expect(lockFolder(root, 'prepare')).rejects.toThrow(
      new LockedError(
        `prepare: ${root} must not be in use, got process ${process.pid}, this one (train): ` +
          'wait until it has ended, or end it',
      ),
    )
    await expect(refuseLocked(root, 'study')).rejects.toThrow(/^study: .* must not be in use/)
    expect((await readdir(root)).every(isLockFile)).toBe(true)
    await lock.release()
    await lock.release()
    await refuseLocked(root, 'study')
    await (await lockFolder(root, 'prepare')).release()
    expect(await readdir(root)).toEqual([])
  })

  test('that was made for the lock goes with it while it is empty', async () => {
    await (await lockFolder(join(root, 'a', 'b'), 'train')).release()
    expect(await readdir(join(root, 'a'))).toEqual([])
    const lock = await lockFolder(join(root, 'a', 'b'), 'train')
    await writeFile(join(root, 'a', 'b', 'file'), '')
    await lock.release()
    expect(await readdir(join(root, 'a', 'b'))).toEqual(['file'])
  })

  test('is that of a process that runs, is stopped even, and not of one that was killed', async () => {
    const child = idle()
    await once(child, 'spawn')
    const pid = child.pid as number
    await claimOf(pid)
    await expect(lockFolder(root, 'study')).rejects.toThrow(`got process ${pid} (train): wait until`)
    child.kill('SIGSTOP')
    await expect(lockFolder(root, 'study')).rejects.toThrow(`got process ${pid} (train)`)
    child.kill('SIGKILL')
    await once(child, 'exit')
    await (await lockFolder(root, 'study')).release()
    expect(await readdir(root)).toEqual([])
  })

  test.skipIf(process.platform === 'win32')(
    'is not that of a process that was given the number of another',
    async () => {
      expect(isRunning(thisProcess())).toBe(true)
      await claimOf(process.pid, { start: 'another' })
      await (await lockFolder(root, 'study')).release()
      expect(await readdir(root)).toEqual([])
    },
  )

  test('is that of another machine as long as that is heard of', async () => {
    const path = await claimOf(1, { machine: '00000000' })
    await expect(lockFolder(root, 'study')).rejects.toThrow(
      'got process 1 on elsewhere (train): wait until it has ended; if it was killed, try again in 2 minutes',
    )
    await writeFile(path, 'cut o')
    await expect(lockFolder(root, 'study')).rejects.toThrow('got process 1 on another machine: wait')
    const long = new Date(Date.now() - 130_000)
    await utimes(path, long, long)
    await (await lockFolder(root, 'study')).release()
    expect(await readdir(root)).toEqual([])
  })

  test('tells of the process that it is taken over from, with its machine', async () => {
    const path = await claimOf(17, { machine: '00000000' })
    const long = new Date(Date.now() - 130_000)
    await utimes(path, long, long)
    expect(await signOfLife(root, true)).toBeCloseTo(long.getTime(), -3)
    const lock = await lockFolder(root, 'study')
    expect(lock.takenFrom).toBe('process 17 on elsewhere (train)')
    await lock.release()
    const next = await lockFolder(root, 'study')
    expect(next.takenFrom).toBeUndefined()
    await next.release()
    expect(await signOfLife(root, true)).toBeUndefined()
    // One that shared it had nothing to be taken over.
    await utimes(await claimOf(18, { machine: '00000000', mode: 'shared' }), long, long)
    const own = await lockFolder(root, 'study')
    expect(own.takenFrom).toBeUndefined()
    await own.release()
  })

  describe('of a process that lives', () => {
    const claim = async () => join(root, (await readdir(root)).find(isLockFile) as string)
    // Only what gives the signs of life: the files take their own time.
    beforeEach(() => {
      vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    })
    afterEach(() => {
      vi.useRealTimers()
    })

    test('has the time of the file system, whatever the clock of the machine says', async () => {
      const lock = await lockFolder(root, 'study')
      const path = await claim()
      const content = await readFile(path, 'utf8')
      const long = new Date(Date.now() - 130_000)
      await utimes(path, long, long)
      const clock = vi.spyOn(Date, 'now').mockReturnValue(0)
      vi.advanceTimersByTime(heartbeatMs)
      await vi.waitFor(async () => expect((await stat(path)).mtimeMs).toBeGreaterThan(long.getTime()))
      clock.mockRestore()
      expect(await readFile(path, 'utf8')).toBe(content)
      expect(lock.lost.aborted).toBe(false)
      await lock.release()
    })

    test('is lost when others have taken it, and comes back to nobody', async () => {
      const lock = await lockFolder(root, 'study')
      await rm(await claim())
      const other = await lockFolder(root, 'train')
      vi.advanceTimersByTime(heartbeatMs)
      await vi.waitFor(() => expect(lock.lost.aborted).toBe(true))
      expect(lock.lost.reason).toEqual(
        new LockedError(`study: ${root} must stay with this process, got it taken by another one`),
      )
      await lock.release()
      await expect(lockFolder(root, 'prepare')).rejects.toThrow(
        `got process ${process.pid}, this one (train)`,
      )
      await other.release()
      expect(await readdir(root)).toEqual([])
    })
  })

  test('can be shared, but not with one that has it for itself', async () => {
    const shared = { shared: true }
    const locks = await Promise.all([lockFolder(root, 'a', shared), lockFolder(root, 'b', shared)])
    await expect(lockFolder(root, 'study')).rejects.toThrow('must not be in use')
    for (const lock of locks) await lock.release()
    const own = await lockFolder(root, 'study')
    await expect(lockFolder(root, 'a', shared)).rejects.toThrow('must not be in use')
    await (await lockFolder(root, 'a', { ...shared, parent: process.pid })).release()
    await own.release()
  })

  test('of many that want it at once one has it at a time', async () => {
    let inside = 0
    let most = 0
    const work = async () => {
      const lock = await lockFolder(root, 'train', { waitMs: 60_000 })
      most = Math.max(most, ++inside)
      await new Promise(resolve => setTimeout(resolve, 2))
      inside--
      await lock.release()
    }
    await Promise.all(Array.from({ length: 6 }, work))
    expect(most).toBe(1)
    expect(await readdir(root)).toEqual([])
  })

  test('is left alone by files that only look like claims', async () => {
    const names = [
      '.pmoe-lock',
      '.pmoe-lock.txt',
      '.pmoe-lock.xyz.1.a.0.own',
      '.pmoe-locked.00000000.1.a.0.own',
    ]
    for (const name of names) await writeFile(join(root, name), 'mine')
    await (await lockFolder(root, 'train')).release()
    expect((await readdir(root)).sort()).toEqual([...names].sort())
  })
})

test('a locked file keeps its neighbours free', async () => {
  const lock = await lockFile(join(root, 'a.onnx'), 'export')
  await (await lockFile(join(root, 'b.onnx'), 'export')).release()
  await expect(lockFile(join(root, 'a.onnx'), 'export')).rejects.toThrow(
    `export: ${join(root, 'a.onnx')} must not be in use, got process ${process.pid}, this one (export)`,
  )
  await lock.release()
  await mkdir(join(root, 'a.onnx'))
  expect(await readdir(root)).toEqual(['a.onnx'])
})
