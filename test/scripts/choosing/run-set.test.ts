import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { askedSet, membersOf, storedSet } from '../../../scripts/run/choosing/run-set.js'
import { setTable, summarizedRun, summarizeSet } from '../../../scripts/run/choosing/set-summary.js'
import { callPmoe, jsonLines, runPmoe } from '../run-pmoe.js'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'pmoe-set-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

const shared = { trainLoss: 1, trainAccuracy: 0.5, seconds: 1, learningRate: 0.1, steps: 1 }

describe('the summary of a set', () => {
  test('has the measures of the weights that runs kept, their mean and their spread', () => {
    const runs = [
      summarizedRun('seed-1', [
        { ...shared, epoch: 1, validationLoss: 0.25, validationAccuracy: 0.75, bestEpoch: 1 },
        {
          ...shared,
          epoch: 2,
          validationLoss: 0.5,
          validationAccuracy: 0.625,
          bestEpoch: 1,
          testLoss: 0.5,
          testAccuracy: 0.5,
        },
      ]),
      summarizedRun('seed-2', [
        {
          ...shared,
          epoch: 1,
          validationLoss: 0.75,
          validationAccuracy: 0.25,
          bestEpoch: 1,
          testLoss: 1,
          testAccuracy: 1,
        },
      ]),
    ]
    const summary = summarizeSet(runs)
    expect(summary.mean).toEqual({
      validationLoss: 0.5,
      validationAccuracy: 0.5,
      testLoss: 0.75,
      testAccuracy: 0.75,
    })
    // Of two numbers the sample standard deviation is their difference / sqrt 2.
    expect(summary.standardDeviation.validationLoss).toBeCloseTo(0.5 / Math.SQRT2, 12)
    expect(summary.standardDeviation.testAccuracy).toBeCloseTo(0.5 / Math.SQRT2, 12)
    expect(
      setTable(summary)
        .split('\n')
        .map(line => line.trimEnd()),
    ).toEqual([
      'run     epochs  kept epoch  validation loss  validation accuracy  test loss  test accuracy',
      '------  ------  ----------  ---------------  -------------------  ---------  -------------',
      'seed-1       2           1           0.2500                75.0%     0.5000          50.0%',
      'seed-2       1           1           0.7500                25.0%     1.0000         100.0%',
      'mean                                 0.5000                50.0%     0.7500          75.0%',
      'spread                               0.3536                35.4%     0.3536          35.4%',
    ])
  })

  test('of one run has no spread, and no measure that it lacks', () => {
    const summary = summarizeSet([
      summarizedRun('seed-1', [{ ...shared, epoch: 1, testLoss: 2, testAccuracy: 0 }]),
    ])
    expect(summary.mean).toEqual({ testLoss: 2, testAccuracy: 0 })
    expect(summary.standardDeviation).toEqual({})
    expect(setTable(summary)).not.toContain('spread')
  })
})

describe('a set', () => {
  test('has seeds from the given one on, or folds of one seed', () => {
    const seeds = askedSet('out', { seeds: 3, seed: 7, epochs: 2 })
    expect(seeds && membersOf(seeds).map(({ name, flags }) => [name, flags])).toEqual([
      ['seed-7', { seed: 7, epochs: 2 }],
      ['seed-8', { seed: 8, epochs: 2 }],
      ['seed-9', { seed: 9, epochs: 2 }],
    ])
    const folds = askedSet('out', { folds: 2, json: true })
    expect(folds && membersOf(folds).map(({ name, flags }) => [name, flags])).toEqual([
      ['fold-1', { validation: '1/2' }],
      ['fold-2', { validation: '2/2' }],
    ])
    expect(askedSet('out', { epochs: 2 })).toBeUndefined()
  })

  test('is not both, not of one run, and has no other validation part', () => {
    expect(() => askedSet('out', { seeds: 2, folds: 2 })).toThrow(
      'train: --seeds and --folds must not be given together',
    )
    expect(() => askedSet('out', { seeds: 1 })).toThrow(
      'train: --seeds must be an integer in [2, 1000], got 1',
    )
    expect(() => askedSet('out', { folds: 1001 })).toThrow(
      'train: --folds must be an integer in [2, 1000], got 1001',
    )
    expect(() => askedSet('out', { folds: 3, validation: 0.2 })).toThrow(
      'train: --folds must come without --validation, got 3 and 0.2',
    )
  })

  test('is refused where its file is damaged', async () => {
    const directory = join(root, 'damaged')
    await mkdir(directory)
    await writeFile(join(directory, 'runs.json'), '{"kind":"seeds","count":1,"flags":{}}')
    await expect(storedSet(directory)).rejects.toThrow(
      `${join(directory, 'runs.json')}: must be a set of runs, got`,
    )
    expect(await storedSet(join(root, 'nowhere'))).toBeUndefined()
  })
})

const settings = [
  '--dataset',
  'digits-patches',
  '--model',
  'two-layer',
  '--samples',
  '40',
  '--test-samples',
  '8',
]
const train = ['train', ...settings, '--epochs', '12', '--backend', 'wasm']
const accuracies = async (directory: string, name: string) =>
  jsonLines(await readFile(join(directory, name, 'metrics.jsonl'), 'utf8')).map(
    ({ seconds: _, wallTime: __, ...metrics }) => metrics,
  )

test('runs of several seeds are stopped and go on to what they are without a stop', async () => {
  const out = join(root, 'seeds')
  const stopped = await runPmoe([...train, '--seeds', '3', '--out', out], {
    interruptAt: `folder ${join(out, 'seed-2')}`,
  })
  expect(stopped.code).toBe(130)
  expect(stopped.out).toContain(
    '1 of 3 runs have ended. Continue all of them with: pmoe train --resume --out',
  )
  const first = (await stat(join(out, 'seed-1', 'model', 'weights.bin'))).mtimeMs
  const changed = await callPmoe(['train', '--resume', '--out', out, '--epochs', '9', '--seeds', '4'])
  expect(changed.code).toBe(2)
  expect(changed.err).toContain('epochs is 12, asked for 9; seeds is 3, asked for 4')
  const again = await callPmoe([...train, '--seeds', '3', '--out', out])
  expect([again.code, again.err]).toEqual([
    1,
    expect.stringContaining('got a set of runs (continue it with --resume)'),
  ])
  const rest = await callPmoe(['train', '--resume', '--out', out])
  expect([rest.code, rest.err]).toEqual([0, ''])
  expect(rest.out).toMatch(/^mean /m)
  expect((await stat(join(out, 'seed-1', 'model', 'weights.bin'))).mtimeMs).toBe(first)
  const summary = JSON.parse(await readFile(join(out, 'summary.json'), 'utf8'))
  expect(summary.runs.map(({ name }: { name: string }) => name)).toEqual(['seed-1', 'seed-2', 'seed-3'])
  const alone = join(root, 'alone')
  await callPmoe([...train, '--seed', '2', '--out', join(alone, 'seed-2')])
  expect(await accuracies(out, 'seed-2')).toEqual(await accuracies(alone, 'seed-2'))
})

test('runs of folds validate on each training image once, and tell too small classes before anything is written', async () => {
  const out = join(root, 'folds')
  const { code, out: text } = await callPmoe([...train, '--folds', '2', '--out', out])
  expect(code).toBe(0)
  const counts = [...text.matchAll(/Validation: (\d+) of the 40 training images, fold [12]\/2/g)].map(
    ([, n]) => Number(n),
  )
  expect(counts).toEqual([20, 20])
  expect(text).toMatch(/^run .*validation accuracy .*test accuracy/m)
  const many = await callPmoe([...train, '--folds', '30', '--out', join(root, 'many')])
  expect(many.code).toBe(2)
  expect(many.err).toMatch(/class ".*" must have at least as many images as folds, 30, got \d+/)
  expect(await readdir(root)).not.toContain('many')
})

test('a set is not put into a folder with something else, nor in the place of one', async () => {
  const out = join(root, 'other')
  await mkdir(out)
  await writeFile(join(out, 'notes.txt'), 'mine')
  const { code, err } = await callPmoe([...train, '--seeds', '2', '--out', out])
  expect([code, err]).toEqual([
    1,
    expect.stringContaining(`${out} must be new or empty for a set of runs, got a folder with notes.txt`),
  ])
  const forced = await callPmoe([...train, '--seeds', '2', '--force', '--out', out])
  expect([forced.code, forced.err]).toEqual([
    2,
    expect.stringContaining('--force must be left out with --seeds, got both'),
  ])
  const resumed = await callPmoe([...train, '--seeds', '2', '--resume', '--out', out])
  expect([resumed.code, resumed.err]).toEqual([
    2,
    expect.stringContaining('--resume with --seeds must name the folder of a set'),
  ])
})
