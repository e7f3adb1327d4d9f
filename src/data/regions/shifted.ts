import { deriveSeed, random } from '../../random.js'
import { isPositiveInteger } from '../../shapes.js'
import { type BatchShare, batchShares, placesOf } from '../batch-shares.js'
import { placedSource, type Surround } from './placed-source.js'
import type { RegionBatch, RegionObjects, RegionStream } from './region-stream.js'

/** How far training images are moved. */
export interface Shift {
  /** Most pixels in each direction, up, down, left and right; an integer of at least 0. */
  readonly maxShift: number
  /** Shifts are multiples of so many pixels: the scale of the view, so that a moved view is the view of a moved image. */
  readonly multipleOf: number
  /** Decides, together with the epoch and the image's place in the epoch's order, how each image is moved. */
  readonly seed: number
  /** What comes into the view; see `Placement`. */
  readonly surround?: Surround
}

/**
 * Moves the images of a stream's shuffled passes by whole multiples of some pixels, each drawn uniformly; what comes in is 0,
 * what goes out is cut off. A pass without `shuffle`, as evaluations use, yields them unmoved.
 *
 * Boxes of objects move along, and may come to lie outside of the image. A function of seed, epoch and place in the
 * epoch's order, so that a resumed run goes on exactly where it stopped.
 *
 * @throws RangeError when `maxShift` is not an integer in [0, shorter side), or `multipleOf` no positive integer
 */
export function shifted(stream: RegionStream, shift: Shift): RegionStream {
  const { maxShift, multipleOf, seed, surround = 'zeros' } = shift
  const most = Math.min(stream.shape[0], stream.shape[1]) - 1
  if (!Number.isInteger(maxShift) || maxShift < 0 || maxShift > most) {
    throw new RangeError(`shifted: maxShift must be an integer in [0, ${most}], got ${maxShift}`)
  }
  if (!isPositiveInteger(multipleOf)) {
    throw new RangeError(`shifted: multipleOf must be a positive integer, got ${multipleOf}`)
  }
  const steps = Math.floor(maxShift / multipleOf)
  if (steps === 0) return stream
  const move = (batch: RegionBatch, places: Int32Array, epochSeed: number): RegionBatch => {
    const shifts = batch.sources.map((_, i) => {
      const chance = random(deriveSeed(epochSeed, `image ${places[i]}`))
      const drawn = (): number => (chance.below(2 * steps + 1) - steps) * multipleOf
      return { top: drawn(), left: drawn() }
    })
    return {
      ...batch,
      sources: batch.sources.map((source, i) =>
        placedSource(source, { canvas: [source.height, source.width], ...(shifts[i] as Offset), surround }),
      ),
      ...(batch.objects && {
        objects: batch.objects.map((objects, i) => movedObjects(objects, shifts[i] as Offset)),
      }),
    }
  }
  const { some } = stream
  return {
    ...stream,
    ...(some && { some: positions => shifted(some(positions), shift) }),
    async *batches(pass) {
      const { batchSize, shuffle, start = 0, end = stream.count, shard } = pass
      if (!shuffle) return yield* stream.batches(pass)
      const epochSeed = deriveSeed(seed, `shift of epoch ${shuffle.epoch}`)
      const shares = batchShares({ batchSize, start, end, shard })
      for await (const batch of stream.batches(pass)) {
        const { value: share } = shares.next()
        yield move(batch, placesOf(share as BatchShare), epochSeed)
      }
    },
  }
}

interface Offset {
  readonly top: number
  readonly left: number
}

function movedObjects({ boxes, relevant }: RegionObjects, { top, left }: Offset): RegionObjects {
  return { boxes: boxes.map((value, i) => value + ([top, left, 0, 0][i & 3] as number)), relevant }
}
