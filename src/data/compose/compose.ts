import { type Random, random } from '../../random.js'
import { isPositiveInteger, type Size2D } from '../../shapes.js'
import { imagesOfClass, type PixelSet } from '../image-set.js'
import { allocateImages, checkClasses, checkCount, checkPixels, paste, targetTurns } from './composing.js'

/** What composed images are made of. */
export interface GridOptions {
  /** The images that fill the cells. */
  readonly pool: PixelSet
  /** Cells of a composed image, [rows, columns]: [4, 4] for patch grids, [2, 2] for quadrants. */
  readonly grid: Size2D
  /** Classes of the pool that are to be recognised; the composed label is the position in this list. */
  readonly targets: readonly number[]
  /** Classes of the pool that fill the other cells. */
  readonly distractors: readonly number[]
  /** How many images to compose; the pool does not bound it. */
  readonly count: number
  /** The same seed gives the same bytes; fewer images are the first of more. */
  readonly seed: number
}

/**
 * Composes images of rows x columns cells: one cell, uniformly drawn, shows an image of a target class, every
 * other cell an image of the distractor classes, drawn uniformly with replacement.
 *
 * The targets take turns, so that classes are balanced; the images of a target class are taken in one seeded
 * order, again from its start when it is through.
 *
 * With a 4x4 grid these are the patch grids of the paper's MNIST experiments; with a 2x2 grid and images of
 * half size, the quadrants of CIFAR-Vehicles (Karp et al. 2021), with distractors from the given pool only.
 *
 * @returns images (count, rows * cell height, columns * cell width, channels), with `cells` and `trueCell`
 * @throws RangeError when an option is out of range, a class has no images, or a class is target and
 *   distractor
 */
export function composeGrid(options: GridOptions): PixelSet {
  checkOptions(options)
  const { pool, grid, targets, distractors, count, seed } = options
  const [rows, columns] = grid
  const [height, width, channels] = pool.shape
  const cells = rows * columns
  const turnOf = targetTurns(pool, targets, seed)
  const others = distractors.flatMap(distractor => [...imagesOfClass(pool, distractor)])
  const chance = random(seed, 'cells')

  const rowBytes = columns * width * channels
  const imageBytes = rows * height * rowBytes
  const images = allocateImages('composeGrid', count, imageBytes)
  const labels = new Int32Array(count)
  const trueCell = new Int32Array(count)
  const sources = new Int32Array(cells)
  for (let i = 0; i < count; i++) {
    const { label, source } = turnOf(i)
    labels[i] = label
    trueCell[i] = chance.below(cells)
    drawDistractors(sources, others, chance)
    sources[trueCell[i] as number] = source
    for (let cell = 0; cell < cells; cell++) {
      const row = Math.floor(cell / columns)
      const start = i * imageBytes + row * height * rowBytes + (cell % columns) * width * channels
      paste(pool, sources[cell] as number, { images, rowBytes }, start)
    }
  }
  return {
    images,
    labels,
    count,
    shape: [rows * height, columns * width, channels],
    classNames: targets.map(target => pool.classNames[target] as string),
    cells: grid,
    trueCell,
  }
}

/** Draws for every cell, also for the target's, so that every image takes the same number of random draws. */
function drawDistractors(sources: Int32Array, others: readonly number[], chance: Random): void {
  for (let cell = 0; cell < sources.length; cell++) {
    sources[cell] = others[chance.below(others.length)] as number
  }
}

function checkOptions({ pool, grid, targets, distractors, count }: GridOptions): void {
  if (grid.length !== 2 || !grid.every(isPositiveInteger)) {
    throw new RangeError(`composeGrid: grid must be [rows, columns] of positive integers, got [${grid}]`)
  }
  checkCount('composeGrid', count)
  checkPixels('composeGrid: pool', pool)
  checkClasses('composeGrid: targets', targets, pool)
  checkClasses('composeGrid: distractors', distractors, pool)
  const both = targets.find(target => distractors.includes(target))
  if (both !== undefined) {
    throw new RangeError(`composeGrid: distractors must differ from the targets, got class ${both} as both`)
  }
}
