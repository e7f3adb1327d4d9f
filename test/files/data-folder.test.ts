import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { datasetEntry } from '../../src/data/datasets/datasets.js'
import { dataFolder, datasetSource, samplesFolder } from '../../src/files/data-folder.js'

let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'pmoe-data-'))
  mkdirSync(join(dir, 'data', 'inner'), { recursive: true })
  writeFileSync(join(dir, 'data', 'inner', 'a.bin'), Uint8Array.of(1, 2, 3))
  writeFileSync(join(dir, 'outside.bin'), 'x')
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

describe('dataFolder', () => {
  it('reads files, tells which exist, and describes them by their path', async () => {
    const source = dataFolder(join(dir, 'data'))
    const bytes = await source.read('inner/a.bin')
    expect(bytes).toEqual(Uint8Array.of(1, 2, 3))
    expect(Buffer.isBuffer(bytes)).toBe(false)
    expect(await source.exists('inner/a.bin')).toBe(true)
    expect(await source.exists('inner/b.bin')).toBe(false)
    expect(await source.exists('inner/a.bin/c')).toBe(false)
    expect(await source.exists('inner')).toBe(false)
    expect(source.describe('inner/a.bin')).toBe(join(dir, 'data', 'inner', 'a.bin'))
    expect(source.describe('')).toBe(join(dir, 'data'))
  })

  it('lists a folder by name, its folders marked', async () => {
    const source = dataFolder(dir)
    symlinkSync(join(dir, 'data'), join(dir, 'alias'))
    expect(await source.list('')).toEqual(['alias/', 'data/', 'outside.bin'])
    expect(await source.list('data/')).toEqual(['inner/'])
    await expect(source.list('nowhere')).rejects.toThrow(
      new Error(`${join(dir, 'nowhere')}: folder must be readable, got nothing there`),
    )
    rmSync(join(dir, 'alias'))
  })

  it('opens a file and reads parts of it, fewer bytes at its end', async () => {
    const file = await dataFolder(join(dir, 'data')).open('inner/a.bin')
    expect(file.length).toBe(3)
    expect(await file.slice(1, 2)).toEqual(Uint8Array.of(2))
    expect(await file.slice(1, 99)).toEqual(Uint8Array.of(2, 3))
    expect(await file.slice(7, 9)).toEqual(new Uint8Array(0))
    await file.close()
    const source = dataFolder(dir)
    await expect(source.open('none.bin')).rejects.toThrow(
      new Error(`${join(dir, 'none.bin')}: file must be readable, got nothing there`),
    )
    await expect(source.open('data')).rejects.toThrow(
      new Error(`${join(dir, 'data')}: path must be a file, got a folder`),
    )
  })

  it('names the file that cannot be read', async () => {
    const source = dataFolder(join(dir, 'data'))
    await expect(source.read('b.bin')).rejects.toThrow(
      new Error(`${join(dir, 'data', 'b.bin')}: file must be readable, got nothing there`),
    )
    await expect(source.read('inner')).rejects.toThrow(
      `${join(dir, 'data', 'inner')}: file must be readable, got EISDIR`,
    )
  })

  it('stays inside the folder', async () => {
    const root = join(dir, 'data')
    const source = dataFolder(root)
    for (const path of ['../outside.bin', 'inner/../../outside.bin', '..', join(dir, 'outside.bin')]) {
      const refused = new RangeError(`dataFolder: path must stay inside ${root}, got ${path}`)
      await expect(source.read(path)).rejects.toThrow(refused)
      await expect(source.exists(path)).rejects.toThrow(refused)
    }
    expect(await source.exists('inner/../inner/a.bin')).toBe(true)
    expect(await source.exists('..a')).toBe(false)
  })

  it('names a folder that is missing, or a file in its place', () => {
    const missing = join(dir, 'nowhere')
    expect(() => dataFolder(missing)).toThrow(
      new Error(`${missing}: data folder must be a folder, got nothing there`),
    )
    const file = join(dir, 'outside.bin')
    expect(() => dataFolder(file)).toThrow(
      new Error(`${file}: data folder must be a folder, got a file (name its folder, ${dir})`),
    )
  })

  it.each([
    [
      'cifar-10-binary.tar.gz',
      "the archive of CIFAR-10's binary version; pmoe data fetch cifar10 --from FILE --out DIR unpacks it",
    ],
    [
      'cifar-100-binary (1).tar.gz',
      "the archive of CIFAR-100's binary version; pmoe data fetch cifar100 --from FILE --out DIR unpacks it",
    ],
    [
      'cifar-100-python.tar.gz',
      "the archive of CIFAR-100's Python or MATLAB version; pmoe data fetch cifar100 --out DIR gets the binary version",
    ],
    ['photos.TGZ', 'a tar archive; tar -xf FILE unpacks it'],
    ['photos.rar', 'an archive; unpack it first'],
  ])('says what to do with %s', (name, advice) => {
    const file = join(dir, name)
    writeFileSync(file, 'x')
    const told = advice.replace('FILE', / /.test(file) ? `"${file}"` : file)
    expect(() => dataFolder(file)).toThrow(
      new Error(`${file}: data folder must be a folder, got a file (${told})`),
    )
  })
})

describe('samplesFolder', () => {
  it('finds the samples from the sources and from the compiled package', async () => {
    expect(await samplesFolder('digits8').exists('train-images-idx3-ubyte.gz')).toBe(true)
    mkdirSync(join(dir, 'package', 'samples', 'digits8'), { recursive: true })
    writeFileSync(join(dir, 'package', 'samples', 'manifest.json'), '{}')
    for (const module of ['src/files/data-folder.ts', 'dist/src/files/data-folder.js']) {
      const from = pathToFileURL(join(dir, 'package', module)).href
      expect(samplesFolder('digits8', from).describe('')).toBe(join(dir, 'package', 'samples', 'digits8'))
    }
  })

  it('says where it looked', () => {
    const from = pathToFileURL(join(dir, 'other', 'dist', 'src', 'files', 'data-folder.js')).href
    const places = [join(dir, 'other', 'dist', 'samples/'), join(dir, 'other', 'samples/')]
    expect(() => samplesFolder('digits8', from)).toThrow(
      new Error(`samplesFolder: samples must be part of the package, got none in ${places.join(' or ')}`),
    )
    expect(() => samplesFolder('digits9')).toThrow(
      /samples\/digits9: data folder must be a folder, got nothing there/,
    )
  })
})

describe('datasetSource', () => {
  it('has no files for a dataset that is drawn, and takes no folder for it', async () => {
    const drawn = datasetEntry('theory-patches')
    expect(await datasetSource(drawn).exists('anything')).toBe(false)
    expect(() => datasetSource(drawn, '/data')).toThrow(
      'theory-patches: a data folder must be left out, got /data (its images are drawn)',
    )
  })

  it('prefers the named folder to the samples', () => {
    const digits = datasetEntry('digits-patches')
    expect(datasetSource(digits, join(dir, 'data')).describe('')).toBe(join(dir, 'data'))
    expect(datasetSource(digits).describe('')).toMatch(/samples\/digits8$/)
  })

  it('asks for a folder where the package ships no data', () => {
    expect(() => datasetSource(datasetEntry('cifar10'))).toThrow(
      new Error(
        'cifar10: a data folder must be named, got none (see https://www.cs.toronto.edu/~kriz/cifar.html)',
      ),
    )
  })
})
