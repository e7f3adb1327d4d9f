import { deriveSeed, permutation, type Random, random } from '../../../random.js'
import type { Size2D } from '../../../shapes.js'
import { imagesOfClass, type PixelSet } from '../../image-set.js'

/** What names the class of a large image: the item that comes most often, or whether an item is there. */
export const CANVAS_TASKS = ['majority', 'present'] as const
export type CanvasTask = (typeof CANVAS_TASKS)[number]

/** What lies on the large images of a set. */
export interface CanvasContents {
  readonly task: CanvasTask
  /** Height and width of the images, in pixels. */
  readonly size: Size2D
  /** Small images, square, of which items are taken. */
  readonly pool: PixelSet
  /** Items on each image. */
  readonly items: number
  /** How many of them show the class. */
  readonly same: number
  /** Stroke patterns on each image. */
  readonly strokes: number
  /** Classes of the pool that are to be named, or found. */
  readonly targets: readonly number[]
  /** Classes of the pool that the other items show. */
  readonly distractors: readonly number[]
}

/** Something small on a large image: what it shows, and where its upper left corner lies. */
export interface PlacedItem {
  /** Position in the pool, or number of the pattern. */
  readonly source: number
  readonly top: number
  readonly left: number
}

/** What lies where on one image. */
export interface CanvasPlan {
  readonly label: number
  /** Those that show the class come first. */
  readonly items: readonly PlacedItem[]
  /** Items that show the class: 0 where it is absent. */
  readonly relevant: number
  /** With their brightness, in [0.8, 1]. */
  readonly strokes: readonly (PlacedItem & { readonly brightness: number })[]
}

/** Stroke patterns that there are. */
export const strokePatterns = 50

/** The classes of the task: those of the items, or absent and present. */
export function canvasClasses({ task, pool, targets }: CanvasContents): string[] {
  if (task === 'present') return ['absent', 'present']
  return targets.map(target => pool.classNames[target] as string)
}

/**
 * Plans the images of a set, each on its own: a function of contents, seed and number alone. The classes take turns.
 *
 * @returns the plan of image 0, 1, 2, ...
 */
export function canvasPlans(contents: CanvasContents, seed: number): (image: number) => CanvasPlan {
  const { task, pool, items, same, strokes, size } = contents
  const [side] = pool.shape
  const members = pool.classNames.map((_, label) => imagesOfClass(pool, label))
  const numClasses = canvasClasses(contents).length
  return image => {
    const label = image % numClasses
    const chance = random(deriveSeed(seed, `canvas ${image}`))
    const drawItem = (itemClass: number): number => {
      const sources = members[itemClass] as Int32Array
      return sources[chance.below(sources.length)] as number
    }
    const relevant = task === 'present' && label === 0 ? 0 : same
    const shown = task === 'majority' ? contents.targets[label] : oneOf(contents.targets, chance)
    const others = otherClasses(contents, shown as number, items - relevant, chance)
    const classes = [...Array.from({ length: relevant }, () => shown as number), ...others]
    const corners = drawCorners(items, side, size, chance)
    return {
      label,
      items: classes.map((itemClass, i) => ({ source: drawItem(itemClass), ...(corners[i] as Corner) })),
      relevant,
      strokes: Array.from({ length: strokes }, () => ({
        source: chance.below(strokePatterns),
        ...drawCorner(side, size, chance),
        brightness: 0.8 + 0.2 * chance.next(),
      })),
    }
  }
}

function oneOf(classes: readonly number[], chance: Random): number {
  return classes[chance.below(classes.length)] as number
}

/** The classes of the other items; where the most frequent item counts, each comes less often than the shown one. */
function otherClasses(
  { task, distractors, same }: CanvasContents,
  shown: number,
  count: number,
  chance: Random,
): number[] {
  const times = new Map<number, number>()
  return Array.from({ length: count }, () => {
    const possible =
      task === 'present'
        ? distractors
        : distractors.filter(other => other !== shown && (times.get(other) ?? 0) < same - 1)
    const drawn = oneOf(possible, chance)
    times.set(drawn, (times.get(drawn) ?? 0) + 1)
    return drawn
  })
}

type Corner = Pick<PlacedItem, 'top' | 'left'>

/** How often items are thrown anew before they are laid on a grid. */
const throws = 100

/** Corners of squares that do not overlap: thrown at random, or, where they hardly fit, on cells of a grid. */
function drawCorners(count: number, side: number, size: Size2D, chance: Random): readonly Corner[] {
  for (let attempt = 0; attempt < throws; attempt++) {
    const corners: Corner[] = []
    for (let misses = 0; corners.length < count && misses < throws; ) {
      const corner = drawCorner(side, size, chance)
      if (corners.some(other => overlap(corner, other, side))) misses++
      else corners.push(corner)
    }
    if (corners.length === count) return corners
  }
  const columns = Math.floor(size[1] / side)
  const cells = permutation(Math.floor(size[0] / side) * columns, chance)
  return Array.from(cells.subarray(0, count), cell => ({
    top: Math.floor(cell / columns) * side,
    left: (cell % columns) * side,
  }))
}

function drawCorner(side: number, [height, width]: Size2D, chance: Random): Corner {
  return { top: chance.below(height - side + 1), left: chance.below(width - side + 1) }
}

function overlap(a: Corner, b: Corner, side: number): boolean {
  return Math.abs(a.top - b.top) < side && Math.abs(a.left - b.left) < side
}
