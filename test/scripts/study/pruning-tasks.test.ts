import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { PruningExperiment } from '../../../scripts/experiments/experiment.js'
import { experimentNamed } from '../../../scripts/experiments/experiments.js'
import { studyKind } from '../../../scripts/study/kinds/kinds.js'
import { ofClasses, patternTasks, photographTasks } from '../../../scripts/study/pruning/tasks.js'
import { gridOf } from '../../../scripts/study/study-config.js'
import { newFolder, smallStudy } from './small-study.js'

const { patterns: ofStudy, photographs } = (experimentNamed('pruning') as PruningExperiment).scales.small
const patterns = {
  ...ofStudy,
  testSamples: 20,
  pretraining: { ...ofStudy.pretraining, samples: 40 },
  fineTuning: { ...ofStudy.fineTuning, samples: 10 },
}

function counts(labels: Int32Array, classes: number): number[] {
  return Array.from({ length: classes }, (_, label) => labels.filter(other => other === label).length)
}

describe('ofClasses', () => {
  it('keeps the images of some classes and numbers them anew', () => {
    const set = {
      images: Uint8Array.of(10, 11, 20, 21, 30, 31, 40, 41),
      labels: Int32Array.of(0, 2, 1, 2),
      count: 4,
      shape: [1, 2, 1] as const,
      classNames: ['a', 'b', 'c'],
    }
    expect(ofClasses(set, [2, 0])).toEqual({
      images: Uint8Array.of(10, 11, 20, 21, 40, 41),
      labels: Int32Array.of(1, 0, 0),
      count: 3,
      shape: [1, 2, 1],
      classNames: ['c', 'a'],
    })
  })
})

describe('the tasks', () => {
  it('of patterns have all classes first, then two of them, and other images for each seed', () => {
    const { first, second } = patternTasks(patterns, 1)
    expect(first.train.classNames).toHaveLength(8)
    expect(counts(first.train.labels, 8)).toEqual(Array(8).fill(5))
    expect(second.train.classNames).toEqual(['pattern 1', 'pattern 2'])
    expect(counts(second.train.labels, 2)).toEqual([5, 5])
    expect(second.test.count).toBe(20)
    expect(patternTasks(patterns, 2).second.train.images).not.toEqual(second.train.images)
    expect(patternTasks(patterns, 2).second.test.images).toEqual(second.test.images)
  })

  it('of photographs have clothes first, then accessories', async () => {
    const { first, second } = await photographTasks(photographs, { data: null, seed: 1 })
    expect(first.train.classNames).toEqual(['T-shirt', 'trouser', 'pullover', 'dress', 'coat', 'shirt'])
    expect(second.train.classNames).toEqual(['sandal', 'sneaker', 'bag', 'ankle boot'])
    expect(counts(first.train.labels, 6)).toEqual(Array(6).fill(50))
    expect(counts(second.train.labels, 4)).toEqual(Array(4).fill(25))
    expect([first.test.count, second.test.count]).toEqual([100, 100])
  })

  it('of CIFAR-100 and CIFAR-10 come from the binary versions of both', async () => {
    const folder = await cifarFolder(3, 3)
    const sizes = {
      ...photographs,
      pretraining: { ...photographs.pretraining, samples: 200 },
      fineTuning: { ...photographs.fineTuning, samples: 20 },
      testSamples: 40,
    }
    const { first, second } = await photographTasks(sizes, { data: folder, seed: 1 })
    expect([first.train.shape, second.train.shape]).toEqual([
      [32, 32, 3],
      [32, 32, 3],
    ])
    expect(first.train.classNames.at(99)).toBe('worm')
    expect(counts(first.train.labels, 100)).toEqual(Array(100).fill(2))
    expect(counts(second.train.labels, 10)).toEqual(Array(10).fill(2))
    expect([first.test.count, second.test.count]).toEqual([40, 30])
    // The first pixel of an image tells its class.
    first.train.labels.forEach((label, i) => {
      expect(first.train.images[i * 3072]).toBe(label)
    })
  })
})

describe('the study of pruning', () => {
  const asked = (more: object) => ({ ...smallStudy(), experiment: 'pruning', ...more })
  const { kind, experiment } = studyKind(asked({ grid: gridOf('pruning', 'small', true).grid }))

  it('names the files of a data folder that are missing', async () => {
    const folder = await cifarFolder(1, 1)
    await rm(join(folder, 'cifar-10-batches-bin', 'data_batch_3.bin'))
    await expect(kind.checkImages?.(experiment, asked({ data: folder }))).rejects.toThrow(
      'study: --data must hold the binary versions of CIFAR-100 and CIFAR-10, each in the folder of its archive, ' +
        `got ${folder} without cifar-10-batches-bin/data_batch_3.bin of cifar-10-batches-bin`,
    )
    expect(await kind.checkImages?.(experiment, asked({ data: await cifarFolder(1, 1) }))).toEqual([])
  })

  it('refuses a folder that is not there, and a stand-in', () => {
    expect(() => kind.checkFiles(experiment, asked({ data: '/no/such/folder' }))).toThrow(
      'study: --data must name a folder, got /no/such/folder, which is not there',
    )
    expect(() => kind.checkFiles(experiment, asked({ standIn: '/tmp' }))).toThrow(
      'study: --stand-in must be left out for pruning: its stand-in comes with the package',
    )
  })

  it('has the sizes of whole datasets at full scale', () => {
    const widths = [true, false].map(withData => {
      const { grid } = gridOf('pruning', 'full', withData)
      return grid.kind === 'pruning' && [grid.photographs.widen, grid.photographs.pretraining.samples]
    })
    expect(widths).toEqual([
      [10, 50_000],
      [1, 1200],
    ])
  })
})

/** The binary versions of CIFAR-100 and CIFAR-10 with some images of each class, whose pixels are the class. */
async function cifarFolder(train: number, test: number): Promise<string> {
  const folder = await newFolder()
  const write = async (name: string, file: string, numClasses: number, bytes: number, each: number) => {
    await mkdir(join(folder, name), { recursive: true })
    const records = Array.from({ length: numClasses * each }, (_, i) => {
      const record = Buffer.alloc(bytes + 3072, i % numClasses)
      if (bytes === 2) record[0] = (i % numClasses) % 20
      return record
    })
    await writeFile(join(folder, name, file), Buffer.concat(records))
  }
  await write('cifar-100-binary', 'train.bin', 100, 2, train)
  await write('cifar-100-binary', 'test.bin', 100, 2, test)
  for (const batch of [1, 2, 3, 4, 5]) {
    await write('cifar-10-batches-bin', `data_batch_${batch}.bin`, 10, 1, train)
  }
  await write('cifar-10-batches-bin', 'test_batch.bin', 10, 1, test)
  return folder
}
