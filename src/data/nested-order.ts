import { classOrder, type ImageSet } from './image-set.js'

/**
 * The images of a set in the order whose beginnings are the subsets of one seed: the classes take turns, each in its
 * seeded order; where a class has no more images, the others go on without it.
 *
 * @returns the integers 0..count-1
 */
export function nestedOrder(
  set: Pick<ImageSet, 'labels' | 'classNames' | 'count'>,
  seed: number,
): Int32Array {
  const orders = set.classNames.map((_, label) => classOrder(set, label, seed))
  const order = new Int32Array(set.count)
  let filled = 0
  for (let turn = 0; filled < set.count; turn++) {
    for (const positions of orders) {
      const position = positions[turn]
      if (position !== undefined) order[filled++] = position
    }
  }
  return order
}

/**
 * The number of images of the largest subset in which the classes can take turns to its end: the most that can be
 * requested.
 *
 * @returns the number of all images where the classes are balanced
 */
export function largestNested({ classNames, labels }: Pick<ImageSet, 'classNames' | 'labels'>): number {
  const counts = classNames.map(() => 0)
  for (const label of labels) counts[label] = (counts[label] ?? 0) + 1
  return Math.min(...counts.map((count, label) => count * classNames.length + label), labels.length)
}
