import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { ImageSet } from '../../src/data/image-set.js'
import { openPrepared } from '../../src/files/prepared/prepared-set.js'
import { callPmoe, jsonLines } from '../scripts/run-pmoe.js'
import { copyOf, writtenFolders, writtenNumbers } from './written.js'

/** Runs the command line, which must succeed, and returns what it wrote. */
async function pmoe(...words: string[]): Promise<string> {
  const { code, out, err } = await callPmoe(words)
  expect({ code, err }).toEqual({ code: 0, err: '' })
  return out
}

/** What numbers are where they are computed again: rounding differs between processors and orders of sums. */
function close(value: unknown): unknown {
  if (typeof value === 'number') {
    return Number.isInteger(value) ? value : expect.toSatisfy((got: number) => isClose(got, value))
  }
  if (Array.isArray(value)) return value.map(close)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, close(part)]))
}

const isClose = (got: number, expected: number) =>
  Math.abs(got - expected) <= 1e-4 * Math.abs(expected) + 1e-5

async function epochs(run: string) {
  return jsonLines(await readFile(join(run, 'metrics.jsonl'), 'utf8'))
}

describe.each(writtenFolders)('folders $name', ({ folder }) => {
  const numbers = writtenNumbers(folder)

  test.each([
    ['finished', ['--epochs', '3']],
    ['stopped', []],
    ['stopped-wrn', []],
  ])('the run %s goes on to the same numbers', async (name, more) => {
    const run = await copyOf(join(folder, 'trained', name))
    await pmoe('train', '--resume', ...more, '--out', run)
    const { epochs: expected, evaluation } = numbers.runs[name]!
    expect(await epochs(run)).toMatchObject(expected.map(close) as object[])
    const evaluated = await pmoe('evaluate', run, '--backend', 'wasm', '--json')
    expect(JSON.parse(evaluated)).toMatchObject(close(evaluation) as object)
  })

  test('the finished run evaluates as it did', async () => {
    const run = await copyOf(join(folder, 'trained', 'finished'))
    const evaluated = await pmoe('evaluate', run, '--backend', 'wasm', '--json')
    const { testLoss, testAccuracy } = (await epochs(run)).at(-1)!
    expect(JSON.parse(evaluated)).toMatchObject(close({ loss: testLoss, accuracy: testAccuracy }) as object)
  })

  test.each(Object.entries(numbers.prepared))(
    'the prepared folder %s has the same images',
    async (name, parts) => {
      const copy = await copyOf(join(folder, 'prepared', name))
      const opened = await openPrepared(copy)
      for (const part of ['train', 'test'] as const) {
        const { shape, classNames, labels, images } = opened[part] as ImageSet
        const sha256 = createHash('sha256').update(images).digest('hex')
        expect({ shape, classNames, labels: [...labels], sha256 }).toEqual(parts[part])
      }
      await pmoe('data', 'verify', copy)
    },
  )

  test('a network trains on a prepared folder to the same numbers', async () => {
    const data = await copyOf(join(folder, 'prepared', 'image-folder'))
    const run = join(data, '..', 'run')
    const { settings, epochs: expected } = numbers.trainedOnPrepared
    const words = ['--dataset', 'image-folder', '--data', data, '--epochs', '2', '--backend', 'wasm']
    await pmoe('train', ...words, ...settings, '--out', run)
    expect(await epochs(run)).toMatchObject(expected.map(close) as object[])
  })

  test('the study is done, and reports the same cells', async () => {
    const study = await copyOf(join(folder, 'study'))
    expect(await pmoe('study', 'start', 'fig8', '--out', study)).toContain('0 of 3 runs to do')
    const { cells } = JSON.parse(await readFile(join(study, 'results.json'), 'utf8'))
    expect(cells).toEqual(numbers.study)
  })
})

test('a run of 0.1.0 kept no routers of its start: it says so, and is pruned by other criteria', async () => {
  const { folder } = writtenFolders.find(({ name }) => name === 'written-by-0.1.0')!
  const run = await copyOf(join(folder, 'trained', 'finished'))
  const words = ['prune', run, '--keep', '1', '--backend', 'wasm', '--out', join(run, '..', 'pruned')]
  expect(await callPmoe(words)).toEqual({
    code: 1,
    out: '',
    err:
      `pmoe: prune: ${run} must hold the routers that it started with, routers-start.safetensors, got none: it is of a ` +
      'version that kept none (written by patch-moe 0.1.0). Name the run or model that it started from with ' +
      '--reference, or take a criterion that needs no reference, such as router-magnitude\n',
  })
  expect(await pmoe(...words, '--criterion', 'router-magnitude')).toContain('1 of 2 experts stay')
  await pmoe('evaluate', join(run, '..', 'pruned'), '--backend', 'wasm')
})
