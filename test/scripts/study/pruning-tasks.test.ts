import { describe, expect, it } from 'vitest'
import type { PruningExperiment } from '../../../scripts/experiments/experiment.js'
import { experimentNamed } from '../../../scripts/experiments/experiments.js'
import { ofClasses, patternTasks, photographTasks } from '../../../scripts/study/pruning/tasks.js'

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
    const { first, second } = await photographTasks(photographs, 1)
    expect(first.train.classNames).toEqual(['T-shirt', 'trouser', 'pullover', 'dress', 'coat', 'shirt'])
    expect(second.train.classNames).toEqual(['sandal', 'sneaker', 'bag', 'ankle boot'])
    expect(counts(first.train.labels, 6)).toEqual(Array(6).fill(50))
    expect(counts(second.train.labels, 4)).toEqual(Array(4).fill(25))
    expect([first.test.count, second.test.count]).toEqual([100, 100])
  })
})
