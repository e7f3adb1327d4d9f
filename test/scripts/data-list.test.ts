import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { datasets } from '../../src/data/datasets/datasets.js'
import { cifar10Files } from '../data/cifar-files.js'
import { callPmoe } from './run-pmoe.js'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'pmoe list-'))
  for (const [name, bytes] of Object.entries(cifar10Files(1))) await writeFile(join(dir, name), bytes)
})
afterAll(() => rm(dir, { recursive: true, force: true }))

interface Listed {
  readonly name: string
  readonly found: string | null
  readonly fetch: string | null
  readonly train: string
}

async function listed(...words: string[]): Promise<Map<string, Listed>> {
  const { code, out } = await callPmoe(['data', 'list', '--json', ...words])
  expect(code).toBe(0)
  const list = JSON.parse(out) as Listed[]
  return new Map(list.map(entry => [entry.name, entry]))
}

describe('pmoe data list', () => {
  test('has every dataset, with its licence and a command that trains it', async () => {
    const { code, out } = await callPmoe(['data', 'list'])
    expect(code).toBe(0)
    for (const { name, title, description, licence, homepage } of datasets) {
      for (const text of [`${name}  (${title})`, description, licence, homepage, `--dataset ${name} `]) {
        expect(out).toContain(text)
      }
    }
  })

  test('says what is there, what has to be fetched and what needs a folder', async () => {
    const list = await listed()
    expect([...list.keys()]).toEqual(datasets.map(({ name }) => name))
    expect(list.get('digits-patches')).toMatchObject({
      found: 'in the package',
      train: 'pmoe train --dataset digits-patches --model two-layer-pmoe',
    })
    expect(list.get('cifar10')).toMatchObject({
      found: null,
      fetch: 'pmoe data fetch cifar10 --out DIR',
      train: 'pmoe train --dataset cifar10 --data DIR --model wrn-pmoe',
    })
    expect(list.get('cifar10-noise')?.train).toBe(
      'pmoe train --dataset cifar10-noise --data DIR --backgrounds IMAGES --model wrn-pmoe',
    )
    expect(list.get('celeba-smiling')?.fetch).toBeNull()
    expect(list.get('theory-patches')?.found).toBe('drawn when it is asked for')
  })

  test('tells what a folder holds, and trains from it', async () => {
    const list = await listed('--data', dir)
    expect(list.get('cifar-vehicles')).toMatchObject({
      found: `CIFAR-10, binary version, in ${dir}`,
      train: `pmoe train --dataset cifar-vehicles --data '${dir}' --model wrn-pmoe`,
    })
    expect(list.get('cifar100')?.found).toBeNull()
    const { out } = await callPmoe(['data', 'list', '--data', dir])
    expect(out.split('\n\n')[0]).toBe(
      `${dir}:\n  CIFAR-10, binary version: cifar10, cifar-vehicles, cifar10-noise, cifar10-rotated`,
    )
  })

  test('knows a prepared folder', async () => {
    const out = join(dir, 'prepared')
    const prepared = await callPmoe([
      ...['data', 'prepare', 'digits-patches', '--samples', '20', '--test-samples', '10', '--out', out],
    ])
    expect(prepared.code).toBe(0)
    const list = await listed('--data', out)
    expect(list.get('digits-patches')?.found).toBe(
      `20 training and 10 test images prepared of digits-patches, in ${out}`,
    )
    expect(list.get('mnist-patches')?.found).toBeNull()
  })

  test('says where nothing is known, and where there is no folder', async () => {
    const empty = await mkdtemp(join(dir, 'empty-'))
    expect((await callPmoe(['data', 'list', '--data', empty])).out).toMatch(
      `${empty}: nothing that is known\n`,
    )
    const none = join(dir, 'none')
    expect(await callPmoe(['data', 'list', '--data', none])).toEqual({
      code: 1,
      out: '',
      err: `pmoe: ${none}: data folder must be a folder, got nothing there\n`,
    })
  })
})
