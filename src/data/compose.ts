import { type Random, random } from '../random.js'
import { isPositiveInteger, type Size2D } from '../shapes.js'
import { classOrder, type ImageSet, imagesOfClass } from './image-set.js'

/** What composed images are made of. */
export interface GridOptions {
  /** The images that fill the cells. */
  readonly pool: ImageSet
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
export function composeGrid(options: GridOptions): ImageSet {
  checkOptions(options)
  const { pool, grid, targets, distractors, count, seed } = options
  const [rows, columns] = grid
  const [height, width, channels] = pool.shape
  const cells = rows * columns
  const targetOrders = targets.map(target => classOrder(pool, target, seed))
  const others = distractors.flatMap(distractor => [...imagesOfClass(pool, distractor)])
  const chance = random(seed, 'cells')

  const images = allocate(count, cells * height * width * channels)
  const labels = new Int32Array(count)
  const trueCell = new Int32Array(count)
  const sources = new Int32Array(cells)
  for (let i = 0; i < count; i++) {
    const label = i % targets.length
    const order = targetOrders[label] as Int32Array
    const turn = Math.floor(i / targets.length)
    labels[i] = label
    trueCell[i] = chance.below(cells)
    drawDistractors(sources, others, chance)
    sources[trueCell[i] as number] = order[turn % order.length] as number
    for (let cell = 0; cell < cells; cell++) {
      copyCell(pool, sources[cell] as number, images, i, grid, cell)
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

function allocate(count: number, imageBytes: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(count * imageBytes)
  } catch (cause) {
    throw new RangeError(
      `composeGrid: count must be of images that fit in memory, got ${count} (${imageBytes} bytes each)`,
      { cause },
    )
  }
}

/**
 * Draws for every cell, also for the one that the target takes: an image then always costs the same draws.
 */
function drawDistractors(sources: Int32Array, others: readonly number[], chance: Random): void {
  for (let cell = 0; cell < sources.length; cell++) {
    sources[cell] = others[chance.below(others.length)] as number
  }
}

/** Copies image `source` of the pool into one cell of composed image `image`. */
function copyCell(
  pool: ImageSet,
  source: number,
  images: Uint8Array,
  image: number,
  [rows, columns]: Size2D,
  cell: number,
): void {
  const [height, width, channels] = pool.shape
  const rowBytes = width * channels
  const stride = columns * rowBytes
  const cellRow = Math.floor(cell / columns)
  let from = source * height * rowBytes
  let to = (image * rows + cellRow) * height * stride + (cell % columns) * rowBytes
  for (let y = 0; y < height; y++) {
    // Rows are short: a plain loop is faster than set(subarray()).
    for (let x = 0; x < rowBytes; x++) images[to + x] = pool.images[from + x] as number
    from += rowBytes
    to += stride
  }
}

function checkOptions({ pool, grid, targets, distractors, count }: GridOptions): void {
  if (grid.length !== 2 || !grid.every(isPositiveInteger)) {
    throw new RangeError(`composeGrid: grid must be [rows, columns] of positive integers, got [${grid}]`)
  }
  if (!Number.isSafeInteger(count) || count < 0) {
    throw new RangeError(`composeGrid: count must be an integer of at least 0, got ${count}`)
  }
  const roles = { targets, distractors }
  for (const [role, classes] of Object.entries(roles)) {
    if (classes.length === 0) throw new RangeError(`composeGrid: ${role} must name a class, got none`)
    for (const label of classes) {
      const name = pool.classNames[label]
      if (name === undefined) {
        throw new RangeError(
          `composeGrid: ${role} must be classes in [0, ${pool.classNames.length - 1}], got ${label}`,
        )
      }
      if (!pool.labels.includes(label)) {
        throw new RangeError(
          `composeGrid: ${role} must have images in the pool, got 0 of class ${label} "${name}" ` +
            `(${pool.count} images)`,
        )
      }
    }
  }
  const both = targets.find(target => distractors.includes(target))
  if (both !== undefined) {
    throw new RangeError(`composeGrid: distractors must differ from the targets, got class ${both} as both`)
  }
}
