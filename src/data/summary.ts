import type { ImageRecords } from './image-records.js'

/** Counts of a set of labelled images. */
export interface ImageSummary {
  readonly count: number
  /** Images of each class. */
  readonly classCounts: readonly number[]
  /** Images of each group, where there are groups. */
  readonly groupCounts?: readonly number[]
  /** For composed images: images whose labelled patch is in each cell, row by row. */
  readonly cellCounts?: readonly number[]
}

/** What counting needs of images: everything but their pixels. */
export type Countable = Omit<ImageRecords, 'read'>

/** Counts the images of each class, group and cell. */
export function summarize({
  count,
  labels,
  classNames,
  groups,
  groupNames,
  cells,
  trueCell,
}: Countable): ImageSummary {
  return {
    count,
    classCounts: tally(labels, classNames.length),
    ...(groups && groupNames && { groupCounts: tally(groups, groupNames.length) }),
    ...(trueCell && cells && { cellCounts: tally(trueCell, cells[0] * cells[1]) }),
  }
}

/**
 * How unequal counts are: the largest over the smallest, 1 where all are equal, infinite where one is 0.
 *
 * @param counts at least one
 */
export function imbalance(counts: readonly number[]): number {
  return Math.max(...counts) / Math.min(...counts)
}

/**
 * Chooses images that show what there is: the first ones of each group, or of each class where there are no groups,
 * equally many as far as there are enough, group by group.
 *
 * @param most images at most; of more groups than that the first ones are shown
 * @returns positions of the images
 */
export function showcase({ labels, classNames, groups, groupNames }: Countable, most: number): Int32Array {
  const kinds = groups && groupNames ? groups : labels
  const numKinds = groups && groupNames ? groupNames.length : classNames.length
  const each = Math.max(1, Math.floor(most / numKinds))
  const positions = Array.from({ length: Math.min(numKinds, most) }, (): number[] => [])
  kinds.forEach((kind, position) => {
    const chosen = positions[kind]
    if (chosen && chosen.length < each) chosen.push(position)
  })
  return Int32Array.from(positions.flat())
}

function tally(numbers: Int32Array, length: number): number[] {
  const counts = new Array<number>(length).fill(0)
  for (const number of numbers) counts[number] = (counts[number] ?? 0) + 1
  return counts
}
