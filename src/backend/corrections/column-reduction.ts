import * as tf from '@tensorflow/tfjs-core'
import { shapeSize } from '../../shapes.js'

/** Attributes of reduction kernels, as tfjs calls them. */
export interface ReductionAttrs {
  readonly axis: number | number[]
  readonly keepDims: boolean
}

/** A reduction over neighbouring axes: (before, reduced, after), with something left after them. */
export interface ColumnReduction {
  readonly before: number
  readonly reduced: number
  readonly after: number
  /** Of the result. */
  readonly shape: number[]
}

/** The reduction, where it is over neighbouring axes and at least two columns remain after them. */
export function columnReduction(
  shape: readonly number[],
  attrs: ReductionAttrs,
): ColumnReduction | undefined {
  const axes = tf.util.parseAxisParam(attrs.axis, [...shape]).sort((a, b) => a - b)
  const [first, last] = [axes[0], axes.at(-1)]
  if (first === undefined || last === undefined || last - first !== axes.length - 1) return undefined
  const [before, reduced, after] = [
    shape.slice(0, first),
    shape.slice(first, last + 1),
    shape.slice(last + 1),
  ]
  if (shapeSize(after) < 2 || shapeSize(shape) === 0) return undefined
  const outputShape = attrs.keepDims ? [...before, ...reduced.map(() => 1), ...after] : [...before, ...after]
  return {
    before: shapeSize(before),
    reduced: shapeSize(reduced),
    after: shapeSize(after),
    shape: outputShape,
  }
}
