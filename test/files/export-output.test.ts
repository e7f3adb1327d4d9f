import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { checkPlace, placeExport } from '../../src/files/export-output.js'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'export-'))
})
afterEach(() => rm(folder, { recursive: true }))

const where = 'export'
const fill = (text: string) => (path: string) => writeFile(path, text)
const fillFolder = (text: string) => async (path: string) => {
  await mkdir(path)
  await writeFile(join(path, 'model.json'), text)
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

  test('replaces a file, or a folder whole, when it is forced to', async () => {
    const path = join(folder, 'model')
    const place = { where, path, marker: 'model.json', force: true }
    await placeExport(place, fillFolder('old'))
    await writeFile(join(path, 'weights.bin'), 'old')
    await placeExport(place, fillFolder('new'))
    expect(await readdir(path)).toEqual(['model.json'])
    expect(await readFile(join(path, 'model.json'), 'utf8')).toBe('new')
    expect(await readdir(folder)).toEqual(['model'])
  })

  test('takes the place of an empty folder without force', async () => {
    const path = join(folder, 'model')
    await mkdir(path)
    await placeExport({ where, path, marker: 'model.json' }, fillFolder('new'))
    expect(await readdir(path)).toEqual(['model.json'])
  })
})

describe('checkPlace', () => {
  test('says what is in the way', async () => {
    const [file, full, run] = ['file', 'full', 'run'].map(name => join(folder, name)) as [
      string,
      string,
      string,
    ]
    await fill('x')(file)
    await fillFolder('x')(full)
    await mkdir(run)
    await writeFile(join(run, 'config.json'), '{}')
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
    expect(await refused({ path: file, marker: 'model.json', force: true })).toBe(
      `export: ${file} must be a new folder, got a file that is there`,
    )
    expect(await refused({ path: full, marker: 'model.json' })).toContain(
      'must be new, got one that is there',
    )
    expect(await refused({ path: run, marker: 'model.json', force: true })).toBe(
      `export: ${run} must be new, empty or an export with model.json, got a folder with config.json`,
    )
    expect(await refused({ path: join(file, 'inside') })).toMatch(
      /^export: .*inside must be a place to write to, got: ENOTDIR/,
    )
    expect(await refused({ path: join(folder, 'free') })).toBe('taken')
  })
})
