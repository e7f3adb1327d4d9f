import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { findNative, nativeFolder, packageRoot } from '../../../src/backend/native/native.js'

let folder: string

beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'native-')))
})

afterEach(() => rm(folder, { recursive: true }))

test('the folder that `pmoe native` fills is in the package, or where PATCH_MOE_NATIVE says', () => {
  expect(packageRoot()).toBe(resolve(import.meta.dirname, '../../..'))
  expect(nativeFolder({})).toBe(join(packageRoot(), '.native'))
  expect(nativeFolder({ PATCH_MOE_NATIVE: '/somewhere' })).toBe('/somewhere')
})

test('GPU packages come first, the project before the provided folder; nothing is loaded', async () => {
  const project = join(folder, 'project')
  for (const name of ['tfjs-node', 'tfjs-node-gpu']) {
    const path = join(project, 'node_modules/@tensorflow', name)
    await mkdir(path, { recursive: true })
    await writeFile(join(path, 'package.json'), JSON.stringify({ name: `@tensorflow/${name}` }))
    await writeFile(join(path, 'index.js'), "throw new Error('loaded')")
  }
  const provide = async (gpu: boolean): Promise<string> => {
    const provided = join(folder, gpu ? 'gpu' : 'cpu')
    await mkdir(provided)
    const packageName = gpu ? '@tensorflow/tfjs-node-gpu' : '@tensorflow/tfjs-node'
    await writeFile(
      join(provided, 'native.json'),
      JSON.stringify({ packageName, gpu, tensorflow: '2.21.0', source: 'built' }),
    )
    return provided
  }
  const order = (provided: string): string[] =>
    findNative(project, provided).map(({ packageName, origin }) => `${packageName.slice(12)} ${origin}`)
  expect(order(await provide(false))).toEqual([
    'tfjs-node-gpu project',
    'tfjs-node project',
    'tfjs-node pmoe native',
  ])
  expect(order(await provide(true))).toEqual([
    'tfjs-node-gpu project',
    'tfjs-node-gpu pmoe native',
    'tfjs-node project',
  ])
  expect(order(join(folder, 'nothing'))).toEqual(['tfjs-node-gpu project', 'tfjs-node project'])
})

test('a provided folder whose note is cut off holds nothing', async () => {
  await writeFile(join(folder, 'native.json'), '{"packageName": "@tens')
  expect(findNative(folder, folder)).toEqual([])
})
