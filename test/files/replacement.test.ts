import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  folderState,
  type OwnFolder,
  recoverFolder,
  recoverForReading,
  replaceFolder,
} from '../../src/files/replacement.js'

/** A folder whose file `list` names its other files. */
const kind: OwnFolder = {
  marker: 'list',
  async ownFiles(directory) {
    const text = await readFile(join(directory, 'list'), 'utf8').catch(() => '')
    return text.split('\n').filter(name => name !== '')
  },
}

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'replacement-'))
})
afterEach(() => rm(root, { recursive: true }))

/** Writes files that hold `text`, and the list of them. */
async function fill(directory: string, text: string, ...names: readonly string[]): Promise<void> {
  for (const name of names) await put(directory, name, text)
  await put(directory, 'list', names.join('\n'))
}

async function put(directory: string, name: string, text: string): Promise<void> {
  await mkdir(dirname(join(directory, name)), { recursive: true })
  await writeFile(join(directory, name), text)
}

/** The files below the folder, and what they hold. */
async function content(): Promise<Record<string, string>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const files = entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name))
  const pairs = files.sort().map(async file => [file.slice(root.length + 1), await readFile(file, 'utf8')])
  return Object.fromEntries(await Promise.all(pairs))
}

describe('replaceFolder', () => {
  test('replaces the files of the list; those of others stay, with their folders', async () => {
    await fill(root, 'old', 'a', 'b', 'sub/c', 'deep/er/d')
    await put(root, 'sub/mine', 'mine')
    await replaceFolder(root, kind, staging => fill(staging, 'new', 'b', 'sub/e'))
    expect(await content()).toEqual({ b: 'new', list: 'b\nsub/e', 'sub/e': 'new', 'sub/mine': 'mine' })
    expect((await readdir(root)).sort()).toEqual(['b', 'list', 'sub'])
  })

  test('leaves everything where writing fails, or a file of others is in the way', async () => {
    await fill(root, 'old', 'a')
    await put(root, 'mine', 'mine')
    const before = await content()
    const half = async (staging: string) => {
      await put(staging, 'a', 'half')
      throw new Error('disk full')
    }
    await expect(replaceFolder(root, kind, half)).rejects.toThrow(new Error('disk full'))
    for (const name of ['mine', 'mine/below', 'a/below']) {
      await expect(replaceFolder(root, kind, staging => fill(staging, 'new', name))).rejects.toThrow(
        /must be a new (file|folder), got a file that is there and not of the old ones$/,
      )
    }
    expect(await content()).toEqual(before)
    expect((await readdir(root)).sort()).toEqual(['a', 'list', 'mine'])
  })
})

describe('what a killed process left', () => {
  test('is deleted where the new files were not whole', async () => {
    await fill(root, 'old', 'a')
    await put(root, '.pmoe-new/a', 'half')
    await put(root, '.a.999999999-0.tmp', 'half')
    await put(root, '.mine.999999999-0.tmp', 'mine')
    expect((await folderState(root, kind)).is).toBe('own')
    await recoverFolder(root, kind)
    expect(await content()).toEqual({ '.mine.999999999-0.tmp': 'mine', a: 'old', list: 'a' })
  })

  test.each(['.pmoe-ready', '.pmoe-placing'])(
    'is brought to its end from %s on, before reading as well',
    async stage => {
      await fill(root, 'old', 'a', 'b')
      await fill(join(root, stage), 'new', 'b', 'sub/c')
      if (stage === '.pmoe-placing') await rm(join(root, 'a'))
      await recoverForReading(root, kind)
      expect(await content()).toEqual({ b: 'new', list: 'b\nsub/c', 'sub/c': 'new' })
    },
  )

  test('by an earlier version is put back, or deleted where the new files are there', async () => {
    await put(root, '.replaced-x1Y/list', 'a')
    await put(root, 'a', 'old')
    expect((await folderState(root, kind)).is).toBe('own')
    await recoverForReading(root, kind)
    expect(await content()).toEqual({ a: 'old', list: 'a' })
    await fill(join(root, '.replaced-x1Y'), 'older', 'a')
    await recoverFolder(root, kind)
    expect(await content()).toEqual({ a: 'old', list: 'a' })
  })

  test('is told from the files of others', async () => {
    expect(await folderState(join(root, 'none'), kind)).toEqual({ is: 'new', entries: [] })
    await put(root, '.list.999999999-0.tmp', 'half')
    expect(await folderState(root, kind)).toEqual({ is: 'new', entries: [] })
    await put(root, '.replaced-mine/other', 'mine')
    expect(await folderState(root, kind)).toEqual({ is: 'foreign', entries: ['.replaced-mine'] })
    await recoverForReading(root, kind)
    await recoverFolder(root, kind)
    expect(await content()).toEqual({ '.replaced-mine/other': 'mine' })
  })
})
