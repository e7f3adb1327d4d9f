import * as tf from '@tensorflow/tfjs-core'
import { type CellGrid, paddedTo, viewCell, wholeView } from './cells.js'

/**
 * What is known of cells before anything is learned: from the views of images, one number a cell, the larger the more it is worth
 * a look. The numbers are standardised over the cells of each image before they are added to the router's scores.
 *
 * @param view (B,h,w,C) float32 in [0, 1], not padded to whole cells
 * @returns (B, rows, columns), or (B,N); disposed by the caller
 */
export type PriorFunction = (view: tf.Tensor4D, grid: CellGrid) => tf.Tensor

/** The priors of this library by name. */
export type Prior = 'contrast' | 'none'

const priors = new Map<string, PriorFunction | undefined>([
  ['contrast', contrast],
  ['none', undefined],
])

/**
 * Adds a prior, which layers then take, and save, by its name.
 *
 * @throws RangeError when the name is taken
 */
export function registerPrior(name: string, prior: PriorFunction): void {
  if (priors.has(name)) throw new RangeError(`registerPrior: name must be a new one, got '${name}'`)
  priors.set(name, prior)
}

/** The names of all priors, registered ones included. */
export function priorNames(): readonly string[] {
  return [...priors.keys()]
}

/** The prior of a name; undefined for 'none'. */
export function namedPrior(name: string): PriorFunction | undefined {
  return priors.get(name)
}

/** Pixels of the view that the window of a cell has on each side of it. */
export function windowMargin({ margin, viewScale }: CellGrid): number {
  return Math.round(margin / viewScale)
}

/** The standard deviation of the view's pixels in the window of each cell, the mean over channels of their variances. */
function contrast(view: tf.Tensor4D, grid: CellGrid): tf.Tensor3D {
  const [height, width] = viewCell(grid)
  const reach = windowMargin(grid)
  const around = tf.pad(paddedTo(view, wholeView(grid)), [
    [0, 0],
    [reach, reach],
    [reach, reach],
    [0, 0],
  ])
  const shares = tf.tensor4d(windowShares([view.shape[1], view.shape[2]], grid), [1, ...grid.cells, 1])
  const meanOf = (x: tf.Tensor4D): tf.Tensor4D =>
    tf.div(tf.avgPool(x, [height + 2 * reach, width + 2 * reach], [height, width], 'valid'), shares)
  const variance = tf.relu(tf.sub(meanOf(tf.square(around)), tf.square(meanOf(around))))
  return tf.sqrt(tf.mean(variance, 3))
}

/** (N) the share of each cell's window that lies inside the view. */
export function windowShares(view: readonly [number, number], grid: CellGrid): Float32Array {
  const sides = viewCell(grid)
  const reach = windowMargin(grid)
  const share = (cell: number, axis: 0 | 1) => {
    const first = Math.max(cell * sides[axis] - reach, 0)
    const end = Math.min((cell + 1) * sides[axis] + reach, view[axis])
    return (end - first) / (sides[axis] + 2 * reach)
  }
  const [, columns] = grid.cells
  return Float32Array.from(
    { length: grid.count },
    (_, n) => share(Math.floor(n / columns), 0) * share(n % columns, 1),
  )
}

/** Added to the standard deviation, so that rounding does not decide among the cells of an image that is all the same. */
export const LEAST_DEVIATION = 1e-3

/**
 * Standardises numbers over the cells of each image.
 *
 * @param values (B,N)
 */
export function standardised(values: tf.Tensor2D): tf.Tensor2D {
  const centred = tf.sub(values, tf.mean(values, 1, true))
  const deviation = tf.sqrt(tf.mean(tf.square(centred), 1, true))
  return tf.div(centred, tf.add(deviation, LEAST_DEVIATION))
}

/**
 * (B,1,N) the standardised numbers of a prior, for all experts.
 *
 * @param where the caller's name, for errors
 * @throws RangeError when the prior returns another count of numbers
 */
export function priorOfCells(
  prior: PriorFunction,
  view: tf.Tensor4D,
  grid: CellGrid,
  where: string,
): tf.Tensor3D {
  const values = prior(view, grid)
  if (values.size !== view.shape[0] * grid.count) {
    throw new RangeError(
      `${where}: prior must return a number for each cell, (${view.shape[0]}, ${grid.cells.join(', ')}), ` +
        `got (${values.shape.join(', ')})`,
    )
  }
  return tf.expandDims(standardised(tf.reshape(values, [view.shape[0], grid.count])), 1)
}
