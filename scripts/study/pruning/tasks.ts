import { subset } from '../../../src/data/batches.js'
import { cifar100Format } from '../../../src/data/datasets/cifar100.js'
import { testSeed } from '../../../src/data/datasets/dataset.js'
import { fashionRoles, loadSmallFashion } from '../../../src/data/datasets/fashion.js'
import { theoryImages } from '../../../src/data/datasets/theory-patches.js'
import { theoryDefaults, theoryPatterns } from '../../../src/data/datasets/theory-patterns.js'
import { cifar10Format, loadCifar } from '../../../src/data/formats/cifar.js'
import type { ImageSet } from '../../../src/data/image-set.js'
import { dataFolder, samplesFolder } from '../../../src/files/data-folder.js'
import { deriveSeed } from '../../../src/random.js'
import type { PatternPruning, PhotographPruning } from '../../experiments/pruning-scale.js'
import type { StageRun } from './stage-training.js'

/** One seed of part 2. */
export interface PhotographRun extends StageRun {
  /** Folder of CIFAR-100 and CIFAR-10; null for the stand-in. */
  readonly data: string | null
}

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

/**
 * CIFAR-100 first and then CIFAR-10; without their files the stand-in: clothes of Fashion-MNIST, then accessories.
 *
 * @param data folder that holds the binary versions of both, each in the folder that its archive unpacks to
 * @throws Error, RangeError when files are missing or damaged, or hold fewer images than the sizes ask for
 */
export async function photographTasks(
  sizes: PhotographPruning,
  { data, seed }: Pick<PhotographRun, 'data' | 'seed'>,
): Promise<Tasks> {
  return data === null ? fashionTasks(sizes, seed) : cifarTasks(sizes, data, seed)
}

async function cifarTasks(sizes: PhotographPruning, data: string, seed: number): Promise<Tasks> {
  const source = dataFolder(data)
  const task = async (format: typeof cifar10Format, samples: number): Promise<Task> => {
    const { train, test } = await loadCifar(source, format)
    return {
      train: subset(train, samples, seed),
      test: subset(test, Math.min(sizes.testSamples, test.count), testSeed),
    }
  }
  return {
    first: await task(cifar100Format, sizes.pretraining.samples),
    second: await task(cifar10Format, sizes.fineTuning.samples),
  }
}

async function fashionTasks(sizes: PhotographPruning, seed: number): Promise<Tasks> {
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
