import { boxAt } from '../../src/data/compose/object-box.js'
import type { ImageSet } from '../../src/data/image-set.js'
import type { TruePart } from '../../src/report/routing-figure.js'

/**
 * Where an image of a set shows its class: the box of its object, or its true cell.
 *
 * @param position of the image in the set
 * @returns undefined where the set does not store it
 */
export function truePart(
  { cells, trueCell, objectBox }: Pick<ImageSet, 'cells' | 'trueCell' | 'objectBox'>,
  position: number,
): TruePart | undefined {
  if (objectBox) {
    const [y, x, height, width] = boxAt(objectBox, position)
    return { box: { x, y, width, height } }
  }
  const cell = trueCell?.[position]
  return cells && cell !== undefined ? { cells, cell } : undefined
}
