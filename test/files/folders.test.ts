import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isMissing, makeFolder } from '../../src/files/folders.js'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'folders-'))
})
afterAll(() => rm(root, { recursive: true }))

describe('makeFolder', () => {
  it('makes parents, and takes a folder that is there', async () => {
    const folder = join(root, 'a', 'b', 'c')
    await makeFolder(folder)
    await makeFolder(folder)
    expect((await stat(folder)).isDirectory()).toBe(true)
  })

  it('fails under a file', async () => {
    await writeFile(join(root, 'file'), '')
    await expect(makeFolder(join(root, 'file', 'inner'))).rejects.toThrow('ENOTDIR')
    await expect(makeFolder(join(root, 'file'))).rejects.toThrow('EEXIST')
  })

  it.runIf(process.platform === 'linux')(
    'fails, and soon, where the file system makes no folders',
    async () => {
      const error = await makeFolder('/proc/no/such').catch((cause: unknown) => cause)
      expect(isMissing(error)).toBe(true)
    },
  )
})

it('makes a folder that several callers ask for at once, with its parents', async () => {
  const folder = join(root, 'at', 'once', 'c')
  await Promise.all(Array.from({ length: 8 }, () => makeFolder(folder)))
  expect((await stat(folder)).isDirectory()).toBe(true)
})
