import { subset } from '../../../src/data/batches.js'
import { testSeed } from '../../../src/data/datasets/dataset.js'
import { fashionRoles, loadSmallFashion } from '../../../src/data/datasets/fashion.js'
import { theoryImages } from '../../../src/data/datasets/theory-patches.js'
import { theoryDefaults, theoryPatterns } from '../../../src/data/datasets/theory-patterns.js'
import type { ImageSet } from '../../../src/data/image-set.js'
import { samplesFolder } from '../../../src/files/data-folder.js'
import { deriveSeed } from '../../../src/random.js'
import type { PatternPruning, PhotographPruning } from '../../experiments/experiment.js'

/** Images of a task. */
export interface Task {
  readonly train: ImageSet
  readonly test: ImageSet
}

/** The task of pretraining and the new one. */
export interface Tasks {
  readonly first: Task
  readonly second: Task
}

/**
 * The images of some classes, numbered in the order in which they are given.
 *
 * @param classes numbers of classes of the set, each once
 */
export function ofClasses(set: ImageSet, classes: readonly number[]): ImageSet {
  const positions = [...set.labels.keys()].filter(position => classes.includes(set.labels[position]!))
  const size = set.images.length / set.count
  const images = new Uint8Array(positions.length * size)
  positions.forEach((position, i) => {
    images.set(set.images.subarray(position * size, (position + 1) * size), i * size)
  })
  const labels = Int32Array.from(positions, position => classes.indexOf(set.labels[position]!))
  return {
    images,
    labels,
    count: positions.length,
    shape: set.shape,
    classNames: classes.map(label => set.classNames[label]!),
  }
}

/** The patterns of part 1. */
export function patternsOf({ numClasses }: PatternPruning) {
  return theoryPatterns({ ...theoryDefaults, numClasses, patternSets: 2 * numClasses })
}

/** Side of the grid of patches of a drawn image: n = 16. */
const gridSide = 4
/** Classes of the new task. */
const newClasses = [0, 1] as const

/** All classes of the theory's patterns first, then images of the first two of them. */
export function patternTasks(sizes: PatternPruning, seed: number): Tasks {
  const patterns = patternsOf(sizes)
  const { pretraining, fineTuning, testSamples, numClasses } = sizes
  const drawn = (count: number, ofSeed: number) => theoryImages({ patterns, gridSide, count, seed: ofSeed })
  // Classes take turns: of c classes, c / 2 times as many images have enough of the first two.
  const more = Math.ceil(numClasses / newClasses.length)
  const second = (count: number, ofSeed: number) =>
    subset(ofClasses(drawn(count * more, ofSeed), newClasses), count, ofSeed)
  return {
    first: { train: drawn(pretraining.samples, seed), test: drawn(testSamples, testSeed) },
    second: {
      train: second(fineTuning.samples, deriveSeed(seed, 'fine-tuning')),
      test: second(testSamples, deriveSeed(testSeed, 'fine-tuning')),
    },
  }
}

/** Clothes of Fashion-MNIST first, then accessories. */
export async function photographTasks(sizes: PhotographPruning, seed: number): Promise<Tasks> {
  const source = samplesFolder('fashion-mini')
  const [train, test] = await Promise.all([
    loadSmallFashion('fashion-mnist', source, 'train'),
    loadSmallFashion('fashion-mnist', source, 't10k'),
  ])
  const task = (classes: readonly number[], samples: number): Task => {
    const tests = ofClasses(test, classes)
    return {
      train: subset(ofClasses(train, classes), samples, seed),
      test: subset(tests, Math.min(sizes.testSamples, tests.count), testSeed),
    }
  }
  return {
    first: task(fashionRoles.distractors, sizes.pretraining.samples),
    second: task(fashionRoles.targets, sizes.fineTuning.samples),
  }
}
