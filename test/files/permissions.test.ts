import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { writeFileAtomic } from '../../src/files/atomic.js'
import { fileSystem } from '../../src/files/model-files.js'
import { createRun, openRun } from '../../src/run/run-folder.js'
import { asOrdinaryUser } from './as-ordinary-user.js'
import { runConfigOf } from './run-configs.js'

let root: string
let locked: string

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'permissions-'))
  await chmod(root, 0o755)
  locked = join(root, 'locked')
  await mkdir(locked)
})

afterEach(async () => {
  await chmod(locked, 0o755)
  await rm(root, { recursive: true })
})

describe.skipIf(process.platform === 'win32')('a folder that may not be written to', () => {
  test('keeps the file that was to be replaced', async () => {
    const path = join(locked, 'a')
    await writeFile(path, 'old')
    await chmod(locked, 0o555)
    await expect(asOrdinaryUser(() => writeFileAtomic(path, 'new'))).rejects.toThrow(
      new RegExp(`^writeFileAtomic: ${path} must be writable, got: EACCES: permission denied`),
    )
    expect(await readFile(path, 'utf8')).toBe('old')
    expect(await readdir(locked)).toEqual(['a'])
  })

  test('takes no run and no model, and is named', async () => {
    await chmod(locked, 0o555)
    const run = join(locked, 'run')
    await expect(asOrdinaryUser(() => createRun(run, runConfigOf()))).rejects.toThrow(
      new RegExp(`^createRun: ${run} must be writable, got EACCES`),
    )
    await tf.setBackend('cpu')
    const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [1] })] })
    await expect(asOrdinaryUser(() => model.save(fileSystem(join(locked, 'model'))))).rejects.toThrow(
      new RegExp(`^fileSystem: ${join(locked, 'model')} must be a folder that can be made, got: EACCES`),
    )
    expect(await readdir(locked)).toEqual([])
  })

  test('keeps its run whole where it was to be replaced', async () => {
    await createRun(locked, runConfigOf())
    await mkdir(join(locked, 'model'), { mode: 0o777 })
    await writeFile(join(locked, 'model', 'model.json'), '{}')
    await chmod(join(locked, 'model'), 0o777)
    await chmod(locked, 0o555)
    const replaced = { ...runConfigOf(), seed: 2 }
    await expect(asOrdinaryUser(() => createRun(locked, replaced, { force: true }))).rejects.toThrow(
      new RegExp(`^createRun: ${locked} must be writable, got EACCES`),
    )
    expect((await openRun(locked)).config.seed).toBe(1)
    expect((await readdir(locked)).sort()).toEqual(['config.json', 'model'])
    expect(await readdir(join(locked, 'model'))).toEqual(['model.json'])
  })
})
