import { deriveSeed, random } from '../../random.js'
import type { ImageShape } from '../../shapes.js'
import { type BatchShare, batchShares, placesOf } from '../batch-shares.js'
import type { ImageBatch } from '../image-set.js'
import type { ImageStream, StreamPass } from '../image-stream.js'
import { type ImageValues, zerosLike } from '../image-values.js'
import type { Augmentation } from './augmentation.js'
import { mixed } from './mixing.js'
import { type Operation, operations } from './operations.js'
import type { DrawVariation } from './variation.js'

/**
 * Where a batch stands in training: its epoch, from 0, and the place of its first image in the epoch's order. A worker's part of a batch
 * may come with the image that follows it, of which the place is `next`; see `Shard`.
 */
export interface BatchPlace extends Pick<BatchShare, 'first' | 'next'> {
  readonly epoch: number
}

/**
 * Varies a batch of training images, which stays as it is. An image that came along with a part of a batch is left out again.
 *
 * @throws RangeError when an operation that takes colours is asked of floats
 */
export type BatchVariation = (batch: ImageBatch, place: BatchPlace) => ImageBatch

/**
 * Varies the images of a stream's shuffled passes; a pass without `shuffle`, as evaluations use, yields them unchanged.
 *
 * What happens to an image is a function of seed, epoch and place in the epoch's order, each operation with random numbers
 * of its own, so that a resumed run goes on exactly where it stopped; mixed images depend on those of their batch as well.
 *
 * @throws RangeError when an option is out of range, or an operation takes colours and the images have neither one nor three
 *   channels
 */
export function augmented(stream: ImageStream, augmentation: Augmentation): ImageStream {
  const vary = batchVariation(stream.shape, augmentation)
  if (!vary) return stream
  const { orderOf: _, ...described } = stream
  return {
    ...described,
    async *batches(pass) {
      const { shuffle } = pass
      if (!shuffle) return yield* stream.batches(pass)
      const { asked, shares } = variedPass(pass, stream.count, augmentation)
      for await (const batch of stream.batches(asked)) {
        yield vary(batch, { epoch: shuffle.epoch, ...(shares.next().value as BatchShare) })
      }
    },
  }
}

/**
 * The pass over unvaried images that a pass over varied ones needs, and what its batches are: images that are mixed with others are read
 * with the one that follows them.
 *
 * @param count images of the stream
 */
export function variedPass(
  pass: StreamPass,
  count: number,
  { mixup = 0, cutmix = 0 }: Augmentation,
): { readonly asked: StreamPass; readonly shares: Generator<BatchShare, void, undefined> } {
  const { batchSize, start = 0, end = count, shard } = pass
  const asked =
    shard && (mixup > 0 || cutmix > 0) ? { ...pass, shard: { ...shard, withNext: true as const } } : pass
  return { asked, shares: batchShares({ batchSize, start, end, shard: asked.shard }) }
}

/**
 * What varies the batches of images of one shape, wherever it is computed; undefined where nothing is asked for.
 *
 * @throws RangeError as `augmented`
 */
export function batchVariation(shape: ImageShape, augmentation: Augmentation): BatchVariation | undefined {
  const { seed, mixup = 0, cutmix = 0, ...others } = augmentation
  const active = operations.flatMap(operation => {
    const draw = operation.drawing(others, shape)
    return draw ? [{ operation, draw }] : []
  })
  checkChannels(active, shape)
  const mixing = { ...alpha('mixup', mixup), ...alpha('cutmix', cutmix) }
  const isMixed = Object.keys(mixing).length > 0
  if (active.length === 0 && !isMixed) return undefined
  return (batch, { epoch, first, next }) => {
    checkPixels(active, batch.images)
    const share = {
      first,
      count: batch.count - (next === undefined ? 0 : 1),
      ...(next !== undefined && { next }),
    }
    const places = placesOf(share)
    const epochSeed = deriveSeed(seed, `augmentation of epoch ${epoch}`)
    const seedOf = (i: number) => deriveSeed(epochSeed, `image ${places[i]}`)
    const varied = active.length === 0 ? batch : variedImages(batch, shape, active, seedOf)
    return withoutNext(isMixed ? mixed(varied, shape, mixing, seedOf) : varied, share)
  }
}

/** A batch without the image that came along to be mixed with. */
function withoutNext(
  batch: ImageBatch,
  { first, count, next }: Pick<BatchShare, 'first' | 'count' | 'next'>,
): ImageBatch {
  if (next === undefined) return batch
  const from = next < first ? 1 : 0
  const part = (values: Int32Array): Int32Array => values.slice(from, from + count)
  const imageValues = batch.images.length / batch.count
  const { images, labels, groups, mixed: others } = batch
  return {
    images: images.slice(from * imageValues, (from + count) * imageValues),
    labels: part(labels),
    ...(groups && { groups: part(groups) }),
    ...(others && {
      mixed: { labels: part(others.labels), shares: others.shares.slice(from, from + count) },
    }),
    count,
  }
}

interface Active {
  readonly operation: Operation
  readonly draw: DrawVariation
}

function variedImages(
  batch: ImageBatch,
  shape: ImageShape,
  active: readonly Active[],
  seedOf: (place: number) => number,
): ImageBatch {
  const images = zerosLike(batch.images, batch.images.length)
  const values = images.length / batch.count
  const spare = [zerosLike(images, values), zerosLike(images, values)] as const
  for (let i = 0; i < batch.count; i++) {
    const seed = seedOf(i)
    let current = batch.images.subarray(i * values, (i + 1) * values)
    for (const { operation, draw } of active) {
      const variation = draw(random(seed, operation.purpose))
      if (!variation) continue
      const next = current === spare[0] ? spare[1] : spare[0]
      variation(current, next, shape)
      current = next
    }
    images.set(current, i * values)
  }
  return { ...batch, images }
}

/** @throws RangeError when a parameter of a Beta distribution is no number of at least 0 */
function alpha(
  option: 'mixup' | 'cutmix',
  value: number,
): { readonly mixup?: number; readonly cutmix?: number } {
  if (!Number.isFinite(value) || value < 0) {
    throw new RangeError(`augmented: ${option} must be a number of at least 0, got ${value}`)
  }
  return value === 0 ? {} : { [option]: value }
}

function checkChannels(active: readonly Active[], shape: ImageShape): void {
  const colours = namesOf(active)
  if (colours === '' || shape[2] === 1 || shape[2] === 3) return
  throw new RangeError(
    `augmented: ${colours} must be used with images of 1 or 3 channels, got ${shape[2]} (${shape.join('x')})`,
  )
}

function checkPixels(active: readonly Active[], images: ImageValues): void {
  const colours = namesOf(active)
  if (colours === '' || !(images instanceof Float32Array)) return
  throw new RangeError(`augmented: ${colours} must be used with pixels 0..255, got floats`)
}

/** The options that take colours. */
function namesOf(active: readonly Active[]): string {
  return active.flatMap(({ operation }) => (operation.takesColours ? operation.options : [])).join(', ')
}
