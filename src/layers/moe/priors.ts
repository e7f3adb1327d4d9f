import * as tf from '@tensorflow/tfjs-core'
import { contrast } from './cell-scores/contrast.js'
import type { CellGrid } from './cells.js'

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
