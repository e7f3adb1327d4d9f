import { permutation, random } from '../random.js'

/** The positions of images in two parts, each ascending. */
export interface TwoParts {
  readonly train: Int32Array
  readonly validation: Int32Array
}

/** How large a validation part is: a share of each class in (0, 1), or fold k of n, `2/5`. */
export type ValidationPart = number | `${number}/${number}`

/** Which of the training images are validation images. */
export interface ValidationChoice {
  readonly part: ValidationPart
  readonly seed: number
}

/**
 * Parts images into those for training and those for validation, by {@link stratifiedParts} or {@link foldParts}.
 *
 * @throws as these
 */
export function validationParts(images: LabelledImages, { part, seed }: ValidationChoice): TwoParts {
  if (typeof part === 'number') return stratifiedParts(images, part, seed)
  const [fold = Number.NaN, folds = Number.NaN] = part.split('/').map(Number)
  return foldParts(images, { fold, folds }, seed)
}

/** The labels of images (count), and the names of all classes. */
export interface LabelledImages {
  readonly labels: Int32Array
  readonly classNames: readonly string[]
}

/**
 * Takes a share of the images of each class as a validation part, chosen by the seed: of n images round(share n), at least 1. Every image
 * is in one of the two parts.
 *
 * @param share in (0, 1)
 * @throws RangeError when the share is out of range, or naming the class that would have no image in one of the parts
 */
export function stratifiedParts(images: LabelledImages, share: number, seed: number): TwoParts {
  if (!(share > 0 && share < 1)) {
    throw new RangeError(`stratifiedParts: share must be in (0, 1), got ${share}`)
  }
  const isTaken = new Uint8Array(images.labels.length)
  for (const { name, positions } of shuffledClasses(images, seed)) {
    const { length: count } = positions
    const taken = Math.max(1, Math.round(share * count))
    if (taken >= count) {
      throw new RangeError(
        `stratifiedParts: class ${JSON.stringify(name)} must have an image for training and one for validation, ` +
          `got ${count} (${taken} for a share of ${share})`,
      )
    }
    for (const position of positions.slice(0, taken)) isTaken[position] = 1
  }
  return partsBy(isTaken)
}

/**
 * Takes one of several folds as a validation part: the images of each class are dealt to the folds in an order that the seed chooses, so
 * that their numbers differ by at most 1. The folds of one seed are disjoint, and together they are all of the images.
 *
 * @param fold which one, from 1
 * @param folds how many there are, at least 2
 * @throws RangeError when a number is out of range, or naming a class with fewer images than folds
 */
export function foldParts(
  images: LabelledImages,
  { fold, folds }: { readonly fold: number; readonly folds: number },
  seed: number,
): TwoParts {
  if (!Number.isInteger(folds) || folds < 2) {
    throw new RangeError(`foldParts: folds must be an integer of at least 2, got ${folds}`)
  }
  if (!Number.isInteger(fold) || fold < 1 || fold > folds) {
    throw new RangeError(`foldParts: fold must be an integer in [1, ${folds}], got ${fold}`)
  }
  const isTaken = new Uint8Array(images.labels.length)
  let dealt = 0
  for (const { name, positions } of shuffledClasses(images, seed)) {
    if (positions.length < folds) {
      throw new RangeError(
        `foldParts: class ${JSON.stringify(name)} must have at least as many images as folds, ${folds}, got ${positions.length}`,
      )
    }
    // Classes go on where the one before ended, so that the sizes of the folds differ by at most 1 as well.
    for (const position of positions) if (dealt++ % folds === fold - 1) isTaken[position] = 1
  }
  return partsBy(isTaken)
}

interface ShuffledClass {
  readonly name: string
  readonly positions: readonly number[]
}

/** The images of each class, in an order that the seed gives them. */
function shuffledClasses({ labels, classNames }: LabelledImages, seed: number): ShuffledClass[] {
  const members = classNames.map((): number[] => [])
  labels.forEach((label, position) => {
    members[label]?.push(position)
  })
  return members.map((positions, label) => {
    const order = permutation(positions.length, random(seed, `stratified class ${label}`))
    const shuffled = Array.from(order, index => positions[index] as number)
    return { name: classNames[label] as string, positions: shuffled }
  })
}

function partsBy(isTaken: Uint8Array): TwoParts {
  const positions = Int32Array.from(isTaken, (_, position) => position)
  return {
    train: positions.filter(position => !isTaken[position]),
    validation: positions.filter(position => isTaken[position]),
  }
}
