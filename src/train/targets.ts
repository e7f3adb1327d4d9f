import * as tf from '@tensorflow/tfjs-core'
import type { MixedLabels } from '../data/image-set.js'
import type { TrainingData } from './feed.js'

/**
 * Weights of the classes in the training loss: `balanced` for images / (classes x images of the class), so that all classes weigh
 * the same together and the mean image weighs 1; or numbers above 0 by class name, 1 for classes that are not named.
 */
export type ClassWeights = 'balanced' | Readonly<Record<string, number>>

/** What the loss of training compares outputs with, besides the labels. An evaluation has the labels alone. */
export interface TargetOptions {
  /**
   * Share of a label that is spread evenly over all classes, in [0, 1); 0 unless given (Szegedy et al. 2016): with K classes the
   * label has 1 - share + share/K and each other class share/K.
   */
  readonly labelSmoothing?: number
  /**
   * What the loss of each class is multiplied by; the sum over a batch is still divided by its number of images. All 1 unless
   * given. `balanced` counts the images of each class first, in one pass over a stream.
   */
  readonly classWeights?: ClassWeights
}

/** Names of the options of targets. */
export const targetOptionNames = { labelSmoothing: true, classWeights: true } as const

/** How the targets of a batch follow from its labels. */
export interface TargetRule {
  readonly numClasses: number
  /** 0 unless given. */
  readonly labelSmoothing?: number
  /** (numClasses) what the loss of each class is multiplied by; all 1 unless given. */
  readonly classWeights?: readonly number[] | undefined
}

/** The labels of one batch. */
export interface BatchLabels {
  /** (count) class numbers. */
  readonly labels: Int32Array
  /** Where images are mixed with others: whose labels they have besides their own. */
  readonly mixed?: MixedLabels | undefined
}

/**
 * What the loss of a batch compares outputs with.
 *
 * @returns (B) int32 class numbers where these say it all; else (B, numClasses) float32: shares of the classes times their weights
 */
export function targetsOf({ labels, mixed }: BatchLabels, rule: TargetRule): tf.Tensor {
  const { numClasses, labelSmoothing = 0, classWeights } = rule
  if (!mixed && labelSmoothing === 0 && !classWeights) return tf.tensor1d(labels, 'int32')
  const spread = labelSmoothing / numClasses
  const targets = new Float32Array(labels.length * numClasses).fill(spread)
  const add = (image: number, label: number, share: number) => {
    const at = image * numClasses + label
    targets[at] = (targets[at] as number) + (1 - labelSmoothing) * share
  }
  for (const [image, label] of labels.entries()) {
    const share = mixed?.shares[image] ?? 1
    add(image, label, share)
    if (mixed && share < 1) add(image, mixed.labels[image] as number, 1 - share)
  }
  if (classWeights) {
    for (const at of targets.keys())
      targets[at] = (targets[at] as number) * (classWeights[at % numClasses] as number)
  }
  return tf.tensor2d(targets, [labels.length, numClasses])
}

/** The label that an image has most of, (count): what a prediction is compared with. */
export function largestLabels({ labels, mixed }: BatchLabels): Int32Array {
  if (!mixed) return labels
  return labels.map((label, image) =>
    (mixed.shares[image] as number) < 0.5 ? (mixed.labels[image] as number) : label,
  )
}

/** The least value that the loss can have with these targets, in nats, where that of the labels alone is `floor`; 0 where not known. */
export function floorWith(
  { numClasses, labelSmoothing = 0, classWeights }: TargetRule,
  floor: number,
): number {
  if (classWeights) return 0
  if (labelSmoothing === 0) return floor
  const spread = labelSmoothing / numClasses
  const label = 1 - labelSmoothing + spread
  return Math.max(floor, -label * Math.log(label) - (numClasses - 1) * spread * Math.log(spread))
}

/**
 * Checks the options of targets, as far as they do not depend on images.
 *
 * @throws RangeError when a number is out of its range
 */
export function checkTargetOptions({ labelSmoothing = 0, classWeights }: TargetOptions): void {
  if (!(labelSmoothing >= 0 && labelSmoothing < 1)) {
    throw new RangeError(`train: labelSmoothing must be in [0, 1), got ${labelSmoothing}`)
  }
  if (classWeights === undefined || classWeights === 'balanced') return
  if (typeof classWeights !== 'object' || classWeights === null) {
    throw new RangeError(
      `train: classWeights must be balanced, or numbers by class name, got ${classWeights}`,
    )
  }
  for (const [name, weight] of Object.entries(classWeights)) {
    if (weight > 0 && weight < Infinity) continue
    throw new RangeError(`train: classWeights must be numbers greater than 0, got ${weight} for ${name}`)
  }
}

/**
 * Checks that class weights are for classes that there are.
 *
 * @throws RangeError naming the class
 */
export function checkClassesOfWeights(
  classWeights: ClassWeights | undefined,
  classNames: readonly string[],
): void {
  if (classWeights === undefined || classWeights === 'balanced') return
  const unknown = Object.keys(classWeights).find(name => !classNames.includes(name))
  if (unknown === undefined) return
  throw new RangeError(
    `train: classWeights must be for classes of the training set, got ${unknown} (its classes: ${classNames.join(', ')})`,
  )
}

/**
 * How the targets of a training follow from its labels.
 *
 * @param data the training images; counted for balanced weights
 * @throws RangeError when weights are for a class that there is not, or balanced ones for one without images
 */
export async function targetRule(
  { labelSmoothing = 0, classWeights }: TargetOptions,
  data: TrainingData,
): Promise<TargetRule> {
  checkClassesOfWeights(classWeights, data.classNames)
  const numClasses = data.classNames.length
  return { numClasses, labelSmoothing, classWeights: await weightsOfClasses(classWeights, data) }
}

async function weightsOfClasses(
  classWeights: ClassWeights | undefined,
  data: TrainingData,
): Promise<readonly number[] | undefined> {
  if (classWeights === undefined) return undefined
  const { classNames, count } = data
  if (classWeights !== 'balanced') {
    // A class may have the name of something that every object has.
    return classNames.map(name => (Object.hasOwn(classWeights, name) ? (classWeights[name] as number) : 1))
  }
  const counts = classNames.map(() => 0)
  for await (const labels of labelsOf(data)) {
    for (const label of labels) counts[label] = (counts[label] ?? 0) + 1
  }
  const empty = counts.indexOf(0)
  if (empty >= 0) {
    throw new RangeError(
      `train: classWeights balanced must be for classes that all have training images, got none of ${classNames[empty]}`,
    )
  }
  return counts.map(images => count / (classNames.length * images))
}

/** The labels of all images, in parts. */
async function* labelsOf(data: TrainingData): AsyncGenerator<Int32Array> {
  if ('images' in data) {
    yield data.labels
    return
  }
  for await (const batch of data.batches({ batchSize: Math.min(data.count, 256) })) {
    if ('sources' in batch) await Promise.all(batch.sources.map(source => source.close?.()))
    yield batch.labels
  }
}
