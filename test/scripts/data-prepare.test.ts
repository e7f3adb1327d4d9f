import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { digitsPatches } from '../../src/data/datasets/digits-patches.js'
import { datasetSource } from '../../src/files/data-folder.js'
import { runProcess } from '../child-processes.js'
import { cifar10Files } from '../data/cifar-files.js'
import { callPmoe, jsonLines, runPmoe } from './run-pmoe.js'

let root: string
let prepared: string

const small = ['--samples', '40', '--test-samples', '20', '--seed', '3', '--shard-records', '15']

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'pmoe-data-'))
  prepared = join(root, 'digits')
  const { code, out, err } = await runPmoe(['data', 'prepare', 'digits-patches', '--out', prepared, ...small])
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out).toMatch(/^class {2}train {2}test\n-+ {2}-+ {2}-+\n0 +20 +10\n1 +20 +10\n/)
  expect(out).toContain('Prepared 40 training and 20 test images of digits-patches (32x32x1) in ')
})

afterAll(() => rm(root, { recursive: true }))

describe('pmoe data prepare', () => {
  test('tells as JSON what it did', async () => {
    const out = join(root, 'json')
    const done = await callPmoe(['data', 'prepare', 'digits-patches', '--out', out, ...small, '--json'])
    expect(done).toMatchObject({ code: 0, err: '' })
    const last = jsonLines(done.out).at(-1)
    expect(last).toMatchObject({
      type: 'prepared',
      directory: out,
      manifest: { dataset: 'digits-patches', options: { seed: 3, samples: 40 }, train: { count: 40 } },
    })
    const files = (await readdir(out)).sort()
    expect(files).toEqual((await readdir(prepared)).sort())
    for (const file of files)
      expect(await readFile(join(out, file))).toEqual(await readFile(join(prepared, file)))
  })

  test("takes a person's files", async () => {
    const data = join(root, 'cifar')
    await mkdir(data)
    for (const [name, bytes] of Object.entries(cifar10Files(10))) await writeFile(join(data, name), bytes)
    const done = await callPmoe([
      'data',
      'prepare',
      'cifar10',
      '--data',
      data,
      '--out',
      join(root, 'prepared-cifar'),
    ])
    expect(done).toMatchObject({ code: 0, err: '' })
    expect(done.out).toContain('Prepared 50 training and 10 test images of cifar10 (32x32x3)')
    expect((await callPmoe(['data', 'verify', join(root, 'prepared-cifar')])).out).toContain(
      'All is well: 60 records in 4 files, as the manifest says',
    )
  })

  test.each([
    [['cifar99', '--out', 'x'], 2, "error: command-argument value 'cifar99' is invalid"],
    [['digits-patches'], 2, "error: required option '--out <folder>' not specified"],
    [['cifar10', '--out', 'x'], 2, 'data prepare: --data must name the folder of cifar10, got none'],
    [
      ['digits-patches', '--out', 'x', '--max-unreadable', '-1'],
      2,
      'It must be a number of images or a share of them: 3, or 2%.',
    ],
    [['digits-patches', '--out', 'x', '--crop', 'center178'], 2, '--crop must be used with'],
    [['digits-patches', '--out', '/proc/none'], 1, '/proc/none: folder must be writable, got ENOENT'],
  ])('refuses %j', async (words, code, message) => {
    const done = await callPmoe(['data', 'prepare', ...words])
    expect(done.err).toContain(message)
    expect(done.code).toBe(code)
  })

  test('does not replace what is prepared', async () => {
    const done = await callPmoe(['data', 'prepare', 'digits-patches', '--out', prepared, ...small])
    expect(done).toMatchObject({ code: 1, out: '' })
    expect(done.err).toBe(
      `pmoe: ${prepared}: folder must be new or empty, got prepared images (--force replaces them)\n`,
    )
  })

  test('stops at Ctrl-C, and the same command goes on to the same bytes', async () => {
    const large = ['--samples', '30000', '--test-samples', '20', '--shard-records', '500', '--json']
    const words = (out: string) => ['data', 'prepare', 'digits-patches', '--out', join(root, out), ...large]
    const stopped = await runPmoe(words('stopped'), { interruptAt: '"progress"' })
    // On a machine that is through within the second before the first line, there is nothing to stop.
    if (stopped.code === 0) console.log('The machine was too fast for Ctrl-C: resuming was not seen here.')
    else {
      expect(stopped.code).toBe(130)
      expect(stopped.err).toMatch(/^Stopping …\nStopped after \d+ of 30020 images; whole files are kept/)
      expect(await readdir(join(root, 'stopped'))).toContain('preparing.json')
      expect(await callPmoe(words('stopped'))).toMatchObject({ code: 0, err: '' })
    }
    expect(await callPmoe(words('whole'))).toMatchObject({ code: 0, err: '' })
    const files = await readdir(join(root, 'whole'))
    expect((await readdir(join(root, 'stopped'))).sort()).toEqual(files.sort())
    for (const file of files) {
      const [one, other] = await Promise.all(
        ['stopped', 'whole'].map(name => readFile(join(root, name, file))),
      )
      expect(one?.equals(other as Buffer)).toBe(true)
    }
  })
})

describe('pmoe data verify', () => {
  test('tells of each file', async () => {
    const done = await callPmoe(['data', 'verify', prepared])
    expect(done).toMatchObject({ code: 0, err: '' })
    expect(done.out.split('\n').slice(0, 2)).toEqual([
      'ok      train-00000-of-00003.tfrecord  15 records',
      'ok      train-00001-of-00003.tfrecord  15 records',
    ])
    expect(done.out).toContain('All is well: 60 records in 7 files, as the manifest says\n')
    const json = await callPmoe(['data', 'verify', prepared, '--json'])
    expect(jsonLines(json.out)[0]).toMatchObject({ prepared: true, records: 60, damaged: 0 })
  })

  test('fails where a file is damaged', async () => {
    const damaged = join(root, 'damaged')
    await callPmoe(['data', 'prepare', 'digits-patches', '--out', damaged, ...small])
    const shard = join(damaged, 'train-00001-of-00003.tfrecord')
    const bytes = await readFile(shard)
    bytes[500]! ^= 1
    await writeFile(shard, bytes)
    const done = await callPmoe(['data', 'verify', damaged])
    expect(done.code).toBe(1)
    expect(done.err).toMatch(/: all files must be whole, got 1 damaged \(\d+ records in 7 files\)\n$/)
    expect(done.out).toContain(
      `DAMAGED train-00001-of-00003.tfrecord  0 records\n        ${shard}: data of record 0`,
    )
    expect((await callPmoe(['data', 'verify', join(root, 'none')])).err).toContain('got nothing there')
  })
})

test('TensorFlow reads what was prepared', async () => {
  const script = fileURLToPath(new URL('../data/check_tfrecord.py', import.meta.url))
  const python = process.env.PMOE_TEST_PYTHON ?? 'python3'
  const run = (words: readonly string[]) => runProcess(python, words, { env: { TF_CPP_MIN_LOG_LEVEL: '3' } })
  const isReady = await run(['-c', 'import tensorflow']).then(
    ({ code }) => code === 0,
    () => false,
  )
  if (!isReady) {
    console.log(
      `TensorFlow for Python was not found (${python}; PMOE_TEST_PYTHON names another): not read with it.`,
    )
    return
  }
  const ran = await run([script, prepared])
  expect(ran.code, ran.err).toBe(0)
  const options = { seed: 3, samples: 40, testSamples: 20 }
  const direct = await digitsPatches.load(datasetSource(digitsPatches), options)
  const half = ({ images, labels }: typeof direct.train, files: number) => ({
    files,
    labels: { 0: labels.filter(label => label === 0).length, 1: labels.filter(label => label === 1).length },
    pixelSum: (images as Uint8Array).reduce((sum, pixel) => sum + pixel, 0),
    shapes: [[32, 32, 1]],
  })
  expect(JSON.parse(ran.out)).toEqual({ train: half(direct.train, 3), test: half(direct.test, 2) })
})
