import { permutation, type Random, random } from '../random.js'
import {
  checkedWindow,
  type ImageRecords,
  orderedStream,
  recordsOf,
  type WindowOptions,
} from './image-records.js'
import type { ImageSet } from './image-set.js'
import type { ImageStream } from './image-stream.js'

/** What is drawn equally often. */
export const BALANCED_BY = ['class', 'group'] as const
export type BalancedBy = (typeof BALANCED_BY)[number]

/** How a stream is balanced. */
export interface BalanceOptions extends WindowOptions {
  readonly by: BalancedBy
}

/**
 * A stream in which every class, or every group, has an equal share of each epoch.
 *
 * The parts take turns, every round in an order of its own; each part goes through its images in random order: several
 * times where it is small, not to the end where it is large. An epoch has as many images as the set. Its order depends
 * on the seed and the epoch of the pass alone; a pass without `shuffle` is the stored order, not balanced.
 *
 * @throws RangeError naming a part that has no images, or when the images have no groups and are to be balanced by them
 */
export function balanced(
  images: ImageSet | ImageRecords,
  { by, shuffleWindow }: BalanceOptions,
): ImageStream {
  const records = 'images' in images ? recordsOf(images) : images
  const members = partsOf(records, by)
  return orderedStream(records, checkedWindow(shuffleWindow), ({ seed, epoch }) =>
    balancedOrder(members, records.count, random(seed, `balanced epoch ${epoch}`)),
  )
}

/** The positions of the images of each class or group, ascending. */
function partsOf(records: ImageRecords, by: BalancedBy): Int32Array[] {
  const names = by === 'class' ? records.classNames : records.groupNames
  const parts = by === 'class' ? records.labels : records.groups
  if (!names || !parts) {
    throw new RangeError(`balanced: images must have groups to be balanced by them, got images without`)
  }
  const members = names.map((): number[] => [])
  parts.forEach((part, position) => {
    members[part]?.push(position)
  })
  return members.map((positions, part) => {
    if (positions.length > 0) return Int32Array.from(positions)
    throw new RangeError(
      `balanced: ${by} ${part} "${names[part]}" must have at least 1 image, got 0 (of ${records.count})`,
    )
  })
}

function balancedOrder(members: readonly Int32Array[], count: number, chance: Random): Int32Array {
  const draws = members.map(positions => endless(positions, chance))
  const order = new Int32Array(count)
  for (let first = 0; first < count; first += members.length) {
    const turns = permutation(members.length, chance)
    for (let i = 0; i < turns.length && first + i < count; i++) {
      order[first + i] = draws[turns[i] as number]?.next().value as number
    }
  }
  return order
}

/** The elements in random order, then again in another one, without end. */
function* endless(positions: Int32Array, chance: Random): Generator<number, never, undefined> {
  for (;;) {
    for (const index of permutation(positions.length, chance)) yield positions[index] as number
  }
}
