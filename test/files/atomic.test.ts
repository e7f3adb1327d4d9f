import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  createFileAtomic,
  lookForAbandoned,
  temporariesOf,
  writeFileAtomic,
  writeFilesAtomic,
} from '../../src/files/atomic.js'

const disk = vi.hoisted(() => ({ full: false, links: '' }))

// A disk that takes the first bytes of a file and then is full.
vi.mock('node:fs/promises', async importOriginal => {
  const original = await importOriginal<typeof import('node:fs/promises')>()
  const open: typeof original.open = async (...args) => {
    const file = await original.open(...args)
    if (disk.full) {
      const write = file.writeFile.bind(file)
      file.writeFile = async data => {
        await write((data as Uint8Array).slice(0, 2))
        throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
      }
    }
    return file
  }
  // A file system without second names, or a network one that repeats a request.
  const link: typeof original.link = async (...args) => {
    if (disk.links !== 'EPERM') await original.link(...args)
    if (disk.links !== '') throw Object.assign(new Error(disk.links), { code: disk.links })
  }
  return { ...original, open, link }
})

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atomic-'))
})

afterEach(async () => {
  disk.full = false
  disk.links = ''
  await rm(folder, { recursive: true })
})

describe('writeFileAtomic', () => {
  test('writes text as UTF-8 and bytes as they are, and replaces what was there', async () => {
    const path = join(folder, 'a')
    await writeFileAtomic(path, 'Grüße')
    expect([...(await readFile(path))]).toEqual([...new TextEncoder().encode('Grüße')])
    await writeFileAtomic(path, Uint8Array.of(0, 255, 7))
    expect([...(await readFile(path))]).toEqual([0, 255, 7])
    expect(await readdir(folder)).toEqual(['a'])
  })

  test('a full disk leaves the old content and no temporary file, and is named', async () => {
    const path = join(folder, 'a')
    await writeFileAtomic(path, 'old')
    disk.full = true
    const failure = await writeFileAtomic(path, Uint8Array.of(1, 2, 3)).catch((error: Error) => error)
    expect(failure).toMatchObject({
      message: `writeFileAtomic: ${path} must be writable, got: ENOSPC: no space left on device, write`,
      cause: { code: 'ENOSPC' },
    })
    expect(await readFile(path, 'utf8')).toBe('old')
    expect(await readdir(folder)).toEqual(['a'])
  })

  test('a missing folder is named with the cause', async () => {
    const path = join(folder, 'no', 'a')
    await expect(writeFileAtomic(path, 'x')).rejects.toThrow(
      `writeFileAtomic: ${path} must be writable, got: ENOENT`,
    )
  })

  test('a folder in its place stays, and no temporary file does', async () => {
    await mkdir(join(folder, 'a'))
    await writeFile(join(folder, 'a', 'inside'), 'x')
    await expect(writeFileAtomic(join(folder, 'a'), 'x')).rejects.toThrow('must be writable, got:')
    expect(await readdir(folder)).toEqual(['a'])
  })

  test('many at once of one name end in one whole content', async () => {
    const path = join(folder, 'a')
    const contents = Array.from({ length: 8 }, (_, i) => String(i).repeat(1000))
    await Promise.all(contents.map(content => writeFileAtomic(path, content)))
    expect(contents).toContain(await readFile(path, 'utf8'))
    expect(await readdir(folder)).toEqual(['a'])
  })
})

test('of files that belong together none is replaced when one cannot be written', async () => {
  const first = join(folder, 'first')
  await writeFileAtomic(first, 'old')
  const missing = join(folder, 'no', 'second')
  await expect(
    writeFilesAtomic([
      [first, 'new'],
      [missing, 'new'],
    ]),
  ).rejects.toThrow(`writeFileAtomic: ${missing} must be writable, got: ENOENT`)
  expect(await readFile(first, 'utf8')).toBe('old')
  expect(await readdir(folder)).toEqual(['first'])
})

describe('createFileAtomic', () => {
  test('of many that write a new file at once one does, and its content stays', async () => {
    const path = join(folder, 'a')
    const contents = Array.from({ length: 8 }, (_, i) => String(i).repeat(1000))
    const written = await Promise.all(contents.map(content => createFileAtomic(path, content)))
    expect(written.filter(Boolean)).toHaveLength(1)
    expect(await readFile(path, 'utf8')).toBe(contents[written.indexOf(true)])
    expect(await createFileAtomic(path, 'later')).toBe(false)
    expect(await readdir(folder)).toEqual(['a'])
  })

  test.each([
    ['without second names', 'EPERM'],
    ['that repeats a request whose answer was lost', 'EEXIST'],
  ])('works on a file system %s', async (_, code) => {
    disk.links = code
    const path = join(folder, 'a')
    expect(await createFileAtomic(path, 'first')).toBe(true)
    disk.links = code === 'EEXIST' ? '' : code
    expect(await createFileAtomic(path, 'second')).toBe(false)
    expect(await readFile(path, 'utf8')).toBe('first')
    expect(await readdir(folder)).toEqual(['a'])
  })

  test('names the file and the cause where it cannot write', async () => {
    await expect(createFileAtomic(join(folder, 'no', 'a'), 'x')).rejects.toThrow(
      `writeFileAtomic: ${join(folder, 'no', 'a')} must be writable, got: ENOENT`,
    )
  })
})

test('a file that a process of another machine writes stays until nothing has changed for long', async () => {
  const temporary = '.a.00000000-17-abct9-0.tmp'
  const path = join(folder, temporary)
  await writeFile(path, 'half')
  await writeFileAtomic(join(folder, 'a'), 'x')
  expect(await temporariesOf(folder, new Set(['a']))).toEqual([])
  expect((await readdir(folder)).sort()).toEqual([temporary, 'a'])
  const long = new Date(Date.now() - 2 * 3_600_000)
  await utimes(path, long, long)
  expect(await temporariesOf(folder, new Set(['a']))).toEqual([temporary])
  lookForAbandoned()
  await writeFileAtomic(join(folder, 'a'), 'y')
  expect(await readdir(folder)).toEqual(['a'])
})
