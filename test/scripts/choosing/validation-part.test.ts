import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { partedRegions, partedSet } from '../../../scripts/run/choosing/validation-part.js'
import type { DataRequest } from '../../../scripts/run/run-data.js'
import { regionRecords, regionStream } from '../../../src/data/regions/region-records.js'
import { shifted } from '../../../src/data/regions/shifted.js'
import { callPmoe, jsonLines } from '../run-pmoe.js'

const set = {
  images: Uint8Array.from({ length: 12 * 16 }, (_, i) => i),
  labels: Int32Array.from({ length: 12 }, (_, i) => i % 2),
  names: Array.from({ length: 12 }, (_, i) => `image ${i}`),
  count: 12,
  shape: [4, 4, 1] as const,
  classNames: ['even', 'odd'],
}
const request: DataRequest = { name: 'image-folder', data: null, samples: null, testSamples: null }
const half = { ...request, validation: 0.5 }

describe('a validation part', () => {
  test('is taken from the images of a set, or left as it is', async () => {
    expect(await partedSet({ train: set }, request, 1)).toEqual({ train: set, notes: [] })
    const { train, validation, notes } = await partedSet({ train: set }, half, 1)
    expect([...(train.names ?? []), ...(validation?.names ?? [])].sort()).toEqual([...set.names].sort())
    expect([train.count, validation?.count]).toEqual([6, 6])
    expect(notes).toEqual(['Validation: 6 of the 12 training images, a share of 0.5 of each class.'])
    expect((await partedSet({ train: set }, half, 2)).validation?.names).not.toEqual(validation?.names)
    expect((await partedSet({ train: set }, { ...request, validation: '2/3' }, 1)).notes).toEqual([
      'Validation: 4 of the 12 training images, fold 2/3 of each class.',
    ])
  })

  test('has the same images where they are read in parts', async () => {
    const whole = await partedSet({ train: set }, half, 1)
    const stream = { ...regionStream(regionRecords(set)), names: set.names }
    for (const train of [stream, shifted(stream, { maxShift: 2, multipleOf: 1, seed: 1 })]) {
      const parts = partedRegions({ train }, half, 1)
      expect([parts.train.names, parts.validation?.names]).toEqual([
        whole.train.names,
        whole.validation?.names,
      ])
      for await (const batch of (parts.validation as typeof train).batches({ batchSize: 6 })) {
        expect(batch.labels).toEqual(whole.validation?.labels)
        const views = await Promise.all(batch.sources.map(source => source.view(1)))
        expect(views.flatMap(view => [...view])).toEqual([...(whole.validation?.images ?? [])])
      }
    }
  })

  test('has no boxes that teach: these are of training images alone', async () => {
    const train = { ...regionStream(regionRecords(set)), names: set.names }
    const boxedPositions = Int32Array.of(11, 2, 5, 8, 0, 3)
    const boxed = train.some?.(boxedPositions) as typeof train
    expect(partedRegions({ train, boxed, boxedPositions }, request, 1)).toEqual({ train, boxed, notes: [] })
    const parts = partedRegions({ train, boxed, boxedPositions }, half, 1)
    const names = parts.train.names ?? []
    const expected = [...boxedPositions].filter(position => names.includes(`image ${position}`))
    expect(expected.length).toBeGreaterThan(0)
    expect(expected.length).toBeLessThan(6)
    const views: number[][] = []
    for await (const batch of (parts.boxed as typeof train).batches({ batchSize: 6 })) {
      for (const source of batch.sources) views.push([...(await source.view(1))])
    }
    expect(views).toEqual(expected.map(at => [...set.images.subarray(16 * at, 16 * at + 16)]))
  })

  test('is refused where there is one, where no box is left to teach, and where images cannot be parted', async () => {
    await expect(partedSet({ train: set, validation: set }, half, 1)).rejects.toThrow(
      'train: --validation must be left out for images with a validation half, got 0.5 (the half has 12 images)',
    )
    await expect(partedSet({ train: set }, { ...request, validation: '1/7' }, 1)).rejects.toThrow(
      'foldParts: class "even" must have at least as many images as folds, 7, got 6',
    )
    const stream = regionStream(regionRecords(set))
    const { validation } = await partedSet({ train: set }, half, 1)
    const taken = Int32Array.of(set.names.indexOf(validation?.names?.[0] ?? ''))
    const boxed = stream.some?.(taken) as typeof stream
    expect(() => partedRegions({ train: stream, boxed, boxedPositions: taken }, half, 1)).toThrow(
      'train: --validation must leave training images with boxes, got 0.5, which leaves none of 1',
    )
    const { some: _, ...unparted } = stream
    expect(() => partedRegions({ train: unparted }, half, 1)).toThrow(
      'train: --validation must be used with images that can be parted, got 0.5',
    )
  })
})

describe('pmoe train --validation', () => {
  let root: string
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'pmoe-validation-'))
  })
  afterAll(() => rm(root, { recursive: true, force: true }))

  test('chooses the epoch, says so, and goes on with the same images', async () => {
    const out = join(root, 'run')
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
    const train = [...settings, '--epochs', '2', '--validation', '0.25', '--backend', 'wasm', '--out', out]
    const first = await callPmoe(['train', ...train])
    expect(first.err).toBe('')
    expect(first.code).toBe(0)
    expect(first.out).toMatch(/Validation: \d+ of the 40 training images, a share of 0\.25 of each class\./)
    expect(first.out).toMatch(/weights of epoch [12] kept \(validation loss \d\.\d{4}, the best\)/)
    const more = await callPmoe(['train', '--resume', '--out', out, '--epochs', '3'])
    expect(more.code).toBe(0)
    const metrics = jsonLines(await readFile(join(out, 'metrics.jsonl'), 'utf8'))
    expect(metrics.map(({ bestEpoch }) => typeof bestEpoch)).toEqual(['number', 'number', 'number'])
    const changed = await callPmoe([
      'train',
      '--resume',
      '--out',
      out,
      '--epochs',
      '4',
      '--validation',
      '0.3',
    ])
    expect(changed.code).toBe(2)
    expect(changed.err).toContain('validation is 0.25, asked for 0.3')
  })

  test.each(['0', '1', '-0.2', 'half', '3/2', '0/4', '1/1', '0.2.1'])('refuses %s', async share => {
    const out = join(root, 'refused')
    const words = [
      'train',
      '--dataset',
      'digits-patches',
      '--model',
      'two-layer',
      `--validation=${share}`,
      '--out',
      out,
    ]
    const { code, err } = await callPmoe(words)
    expect(code).toBe(2)
    expect(err).toContain(`a share in (0, 1), or fold k of n: 0.2, or 2/5`)
  })
})
