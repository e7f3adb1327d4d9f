import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { checkPlace, placeExport } from '../../src/files/export-output.js'
import { modelFolder } from '../../src/files/model-files.js'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'export-'))
})
afterEach(() => rm(folder, { recursive: true }))

const where = 'export'
const fill = (text: string) => (path: string) => writeFile(path, text)
/** A model whose weights are in these files. */
const modelJson = (...paths: string[]) =>
  JSON.stringify({ modelTopology: {}, weightsManifest: [{ paths, weights: [] }] })
const fillFolder =
  (...paths: string[]) =>
  async (path: string) => {
    for (const name of paths) await writeFile(join(path, name), `bytes of ${name}`)
    await writeFile(join(path, 'model.json'), modelJson(...paths))
  }

describe('placeExport', () => {
  test('makes the parents, and leaves the export alone there', async () => {
    const path = join(folder, 'a', 'b', 'model.onnx')
    expect(await placeExport({ where, path }, async temporary => fill('x')(temporary).then(() => 7))).toBe(7)
    expect(await readFile(path, 'utf8')).toBe('x')
    expect(await readdir(join(folder, 'a', 'b'))).toEqual(['model.onnx'])
  })

  test('leaves nothing where writing or checking fails, and what was there as it was', async () => {
    const path = join(folder, 'model.onnx')
    const failing = async (temporary: string) => {
      await fill('half')(temporary)
      throw new Error('checked and found wanting')
    }
    await expect(placeExport({ where, path }, failing)).rejects.toThrow('checked and found wanting')
    expect(await readdir(folder)).toEqual([])
    await fill('old')(path)
    await expect(placeExport({ where, path, force: true }, failing)).rejects.toThrow('found wanting')
    expect(await readFile(path, 'utf8')).toBe('old')
    expect(await readdir(folder)).toEqual(['model.onnx'])
  })

  test('replaces a file when it is forced to', async () => {
    const path = join(folder, 'model.onnx')
    await fill('old')(path)
    await placeExport({ where, path, force: true }, fill('new'))
    expect(await readFile(path, 'utf8')).toBe('new')
    expect(await readdir(folder)).toEqual(['model.onnx'])
  })

  test('of a folder replaces what its own list names, and nothing else', async () => {
    const path = join(folder, 'model')
    const place = { where, path, folder: modelFolder, force: true }
    await placeExport(place, fillFolder('a.bin', 'b.bin'))
    await writeFile(join(path, 'c.bin'), 'mine')
    await placeExport(place, fillFolder('b.bin', 'd.bin'))
    expect((await readdir(path)).sort()).toEqual(['b.bin', 'c.bin', 'd.bin', 'model.json'])
    expect(await readFile(join(path, 'c.bin'), 'utf8')).toBe('mine')
    await expect(placeExport(place, fillFolder('c.bin'))).rejects.toThrow(
      `${join(path, 'c.bin')}: must be a new file, got a file that is there and not of the old ones`,
    )
    expect((await readdir(path)).sort()).toEqual(['b.bin', 'c.bin', 'd.bin', 'model.json'])
    expect(await readFile(join(path, 'model.json'), 'utf8')).toBe(modelJson('b.bin', 'd.bin'))
    expect(await readdir(folder)).toEqual(['model'])
  })

  test('leaves no new folder where writing fails', async () => {
    const place = { where, path: join(folder, 'model'), folder: modelFolder }
    const failing = async (path: string) => {
      await fillFolder('a.bin')(path)
      throw new Error('checked and found wanting')
    }
    await expect(placeExport(place, failing)).rejects.toThrow('found wanting')
    expect(await readdir(folder)).toEqual([])
  })

  test('takes the place of an empty folder without force', async () => {
    const path = join(folder, 'model')
    await mkdir(path)
    await placeExport({ where, path, folder: modelFolder }, fillFolder('a.bin'))
    expect((await readdir(path)).sort()).toEqual(['a.bin', 'model.json'])
  })
})

describe('checkPlace', () => {
  test('says what is in the way', async () => {
    const [file, full, run, web] = ['file', 'full', 'run', 'web'].map(name => join(folder, name)) as [
      string,
      string,
      string,
      string,
    ]
    await fill('x')(file)
    for (const made of [full, run, web]) await mkdir(made)
    await fillFolder('x.bin')(full)
    await writeFile(join(run, 'config.json'), '{}')
    await writeFile(join(web, 'model.json'), '{"name":"my web app"}')
    const refused = (place: Omit<Parameters<typeof checkPlace>[0], 'where'>) =>
      checkPlace({ where, ...place }).then(
        () => 'taken',
        (error: Error) => error.message,
      )
    expect(await refused({ path: file })).toBe(
      `export: ${file} must be new, got one that is there (replace it with --force)`,
    )
    expect(await refused({ path: file, force: true })).toBe('taken')
    expect(await refused({ path: full, force: true })).toBe(
      `export: ${full} must be a new file, got a folder that is there`,
    )
    expect(await refused({ path: file, folder: modelFolder, force: true })).toBe(
      `export: ${file} must be a new folder, got a file that is there`,
    )
    expect(await refused({ path: full, folder: modelFolder })).toContain('must be new, got one that is there')
    expect(await refused({ path: run, folder: modelFolder, force: true })).toBe(
      `export: ${run} must be new, empty or an export with model.json, got a folder with config.json`,
    )
    expect(await refused({ path: full, folder: modelFolder, force: true })).toBe('taken')
    expect(await refused({ path: web, folder: modelFolder, force: true })).toBe(
      `export: ${web} must be new, empty or an export with model.json, got a folder whose model.json is something else`,
    )
    expect(await refused({ path: join(file, 'inside') })).toMatch(
      /^export: .*inside must be a place to write to, got: ENOTDIR/,
    )
    expect(await refused({ path: join(folder, 'free') })).toBe('taken')
  })
})
