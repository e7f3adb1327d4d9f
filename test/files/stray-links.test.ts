import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { imageFolder } from '../../src/data/datasets/image-folder/image-folder.js'
import { recognise } from '../../src/data/datasets/recognise.js'
import { dataFolder } from '../../src/files/data-folder.js'
import { readImage } from '../../src/files/images/image-files.js'
import { loadModelFolder } from '../../src/files/model-files.js'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'pmoe-links-'))
  for (const name of ['cat', 'dog']) {
    await mkdir(join(root, name))
    for (const number of [0, 1, 2]) await writeFile(join(root, name, `${number}.png`), 'x')
  }
  await symlink('/nowhere', join(root, 'beside'))
  await symlink('/nowhere', join(root, 'cat', 'gone.png'))
  await symlink('..', join(root, 'cat', 'up'))
  await symlink('.', join(root, 'dog', 'self'))
  await symlink('circle', join(root, 'dog', 'circle'))
  // Links to files and to folders elsewhere are followed.
  await symlink(join(root, 'cat', '0.png'), join(root, 'dog', 'linked.png'))
})
afterAll(() => rm(root, { recursive: true }))

it('links that lead nowhere, in a circle or back are left out and named, others are followed', async () => {
  const source = dataFolder(root)
  expect(await source.list('')).toEqual(['cat/', 'dog/'])
  expect(await source.list('dog')).toEqual(['0.png', '1.png', '2.png', 'linked.png'])
  expect((await recognise(source)).map(({ datasets }) => datasets)).toEqual([['image-folder']])
  const { train, test, notes = [] } = await imageFolder.catalog(source, { seed: 1 })
  expect(train.count + test.count).toBe(7)
  const links = [
    ['beside', 'leads nowhere'],
    ['cat/gone.png', 'leads nowhere'],
    ['cat/up', 'leads back to a folder above'],
    ['dog/circle', 'leads in a circle'],
    ['dog/self', 'leads back to a folder above'],
  ]
  const told = links.map(([path, why]) => `${join(root, path as string)} (a link that ${why})`)
  expect([...(notes.at(-1) as string).matchAll(/\S+ \(.*?\)/g)].map(([link]) => link).sort()).toEqual(told)
})

// Other file systems do not take such names.
it.runIf(process.platform === 'linux')('names that are not UTF-8 are left out and named', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pmoe-bytes-'))
  const bytes = (...parts: (string | number[])[]) => Buffer.concat(parts.map(part => Buffer.from(part)))
  try {
    for (const name of ['cat', 'dog']) {
      await mkdir(join(folder, name))
      for (const number of [0, 1]) await writeFile(join(folder, name, `${number}.png`), 'x')
    }
    await writeFile(bytes(`${folder}/cat/caf`, [0xe9], '.png'), 'x')
    await writeFile(join(folder, 'dog', '\ufffd.png'), 'a name that holds the sign itself')
    await mkdir(bytes(`${folder}/m`, [0xfc]))
    const source = dataFolder(folder)
    expect(await source.list('')).toEqual(['cat/', 'dog/'])
    expect(await source.list('dog')).toEqual(['0.png', '1.png', '\ufffd.png'])
    const { train, test, notes = [] } = await imageFolder.catalog(source, { seed: 1 })
    expect(train.count + test.count).toBe(5)
    const why = '(a name that is not UTF-8; rename it)'
    expect(notes.at(-1)).toContain(`${join(folder, 'm\ufffd')} ${why}`)
    expect(notes.at(-1)).toContain(`${join(folder, 'cat', 'caf\ufffd.png')} ${why}`)
  } finally {
    await rm(folder, { recursive: true })
  }
})

it.runIf(process.platform !== 'win32')(
  'pipes and devices are left out and named, and never read',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'pmoe-pipes-'))
    try {
      for (const name of ['cat', 'dog']) {
        await mkdir(join(folder, name))
        for (const number of [0, 1]) await writeFile(join(folder, name, `${number}.png`), 'x')
      }
      const pipe = join(folder, 'cat', 'pipe.png')
      execFileSync('mkfifo', [pipe])
      await symlink('/dev/zero', join(folder, 'dog', 'endless.png'))
      const source = dataFolder(folder)
      const { train, test, notes = [] } = await imageFolder.catalog(source, { seed: 1 })
      expect(train.count + test.count).toBe(4)
      expect(notes.at(-1)).toContain(`${pipe} (a pipe, which is no file)`)
      expect(notes.at(-1)).toContain(`${join(folder, 'dog', 'endless.png')} (a device, which is no file)`)
      const refused = `${pipe}: file must be readable, got a pipe`
      await expect(source.read('cat/pipe.png')).rejects.toThrow(new Error(refused))
      await expect(source.open?.('cat/pipe.png')).rejects.toThrow(new Error(refused))
      await expect(readImage(pipe, [8, 8, 3])).rejects.toThrow(
        new Error(`${pipe}: path must be a file, got a pipe`),
      )
      await mkdir(join(folder, 'model'))
      execFileSync('mkfifo', [join(folder, 'model', 'model.json')])
      await expect(loadModelFolder(join(folder, 'model'))).rejects.toThrow('got no readable model.json')
    } finally {
      await rm(folder, { recursive: true })
    }
  },
)
