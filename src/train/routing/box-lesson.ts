import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { boxAt } from '../../data/compose/object-box.js'
import type { RegionObjects } from '../../data/regions/region-stream.js'
import { type CellGrid, patchBoxes } from '../../layers/moe/cells.js'
import { pixelTensor } from '../../layers/pixels.js'
import { viewSize } from '../../shapes.js'
import { ENOUGH, sharedWithEach } from './kept-cells.js'
import { type Lesson, type LessonOptions, viewBytes } from './lesson.js'

/**
 * Teaches a router by boxes of what counts. The loss is the mean over images and experts of
 *
 *     -sum_j t_j log softmax(g)_j,
 *
 * with g the scores of an image's cells, prior included, and t spread evenly over its things and, for each thing, over its
 * cells ({@link cellsOf}). Images on which nothing decides the class teach nothing.
 *
 * @throws TypeError when it is not known what is on the images
 */
export function boxLesson({ layer }: LessonOptions): Lesson {
  const router = layer.networks.get('router') as tfl.LayersModel
  const { viewScale } = layer.options
  return {
    weights: router.trainableWeights.map(weight => weight.read() as tf.Variable),
    async task({ sources, objects }) {
      if (!objects) {
        throw new TypeError(
          'teachRouter: images must have boxes of what is on them, got a stream without objects',
        )
      }
      const shares = objects.map(things => cellShares(layer.grid, things))
      const shown = sources.filter((_, i) => shares[i])
      const [first] = shown
      if (!first) return undefined
      const size = [...viewSize([first.height, first.width], viewScale), first.channels]
      const view = pixelTensor(await viewBytes(shown, viewScale), [shown.length, ...size]) as tf.Tensor4D
      const targets = tf.tidy(() =>
        tf.expandDims(tf.stack(shares.flatMap(own => (own ? [tf.tensor1d(own)] : []))), 1),
      )
      return {
        count: shown.length,
        loss: () =>
          tf.neg(tf.mean(tf.sum(tf.mul(targets, tf.logSoftmax(layer.scores(view, true))), 2))) as tf.Scalar,
        dispose: () => tf.dispose([view, targets]),
      }
    },
    dispose: () => undefined,
  }
}

/** (N) the share of a look that each cell of an image is worth, 1 in all; undefined where nothing is that decides the class. */
function cellShares(grid: CellGrid, { boxes, relevant }: RegionObjects): Float32Array | undefined {
  const cells = Array.from(relevant, (decides, thing) =>
    decides ? cellsOf(grid, boxes.subarray(4 * thing, 4 * thing + 4)) : [],
  ).filter(own => own.length > 0)
  if (cells.length === 0) return undefined
  const shares = new Float32Array(grid.count)
  for (const own of cells) {
    for (const cell of own) shares[cell] = (shares[cell] as number) + 1 / (cells.length * own.length)
  }
  return shares
}

/**
 * The cells from which a thing is seen: those whose patch holds 70 % of its box, or, of a box larger than a cell, of so many pixels
 * as a cell has; where there is none, the one whose patch holds most of it.
 *
 * @param box (4) top, left, height and width in pixels
 * @returns ascending; none for a box outside of the image
 */
export function cellsOf(grid: CellGrid, box: Int32Array): readonly number[] {
  const thing = boxAt(box, 0)
  const shared = sharedWithEach(thing, patchBoxes(grid))
  const most = Math.max(...shared)
  if (most === 0) return []
  const enough = ENOUGH * Math.min(thing[2] * thing[3], grid.cell[0] * grid.cell[1])
  if (most < enough) return [shared.indexOf(most)]
  return shared.flatMap((pixels, cell) => (pixels >= enough ? [cell] : []))
}
