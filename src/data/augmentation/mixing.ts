import { deriveSeed, type Random, random } from '../../random.js'
import type { ImageShape } from '../../shapes.js'
import type { ImageBatch, MixedLabels } from '../image-set.js'
import { type ImageValues, zerosLike } from '../image-values.js'
import { roundingOf } from './variation.js'

/** How images of a batch are mixed with each other; each with one of both where both are given. */
export interface Mixing {
  /** Adds images, weighted by shares of Beta(alpha, alpha); above 0. */
  readonly mixup?: number
  /** Pastes a box of another image, whose area is drawn from Beta(alpha, alpha); above 0. */
  readonly cutmix?: number
}

/**
 * Mixes each image of a batch with the next one of it, the last with the first.
 *
 * mixup (Zhang et al., 2018): x = share x_i + (1 - share) x_j. cutmix (Yun et al., 2019): a box of 1 - share of the area,
 * with the proportions of the image, its centre uniform, cut off at the edges; the share is that of the pixels that stay.
 * Shares are drawn for each image, and of a share and what is left the greater one is its own: in pairs of random images
 * that changes nothing, and the label of an image stays its main one.
 *
 * @param seedOf the seed of an image by its place in the batch
 */
export function mixed(
  batch: ImageBatch,
  shape: ImageShape,
  { mixup, cutmix }: Mixing,
  seedOf: (place: number) => number,
): ImageBatch & { readonly mixed: MixedLabels } {
  const values = batch.images.length / batch.count
  const images = zerosLike(batch.images, batch.images.length)
  const labels = new Int32Array(batch.count)
  const shares = new Float32Array(batch.count)
  const imageAt = (all: ImageValues, i: number) => all.subarray(i * values, (i + 1) * values)
  for (let i = 0; i < batch.count; i++) {
    const next = (i + 1) % batch.count
    const chance = random(deriveSeed(seedOf(i), 'mixing'))
    const isPasted = cutmix !== undefined && (mixup === undefined || chance.below(2) === 1)
    const drawn = beta(chance, isPasted ? cutmix : (mixup as number))
    const pair = { own: imageAt(batch.images, i), other: imageAt(batch.images, next), to: imageAt(images, i) }
    const share = Math.max(drawn, 1 - drawn)
    shares[i] = isPasted ? paste(pair, shape, share, chance) : add(pair, share)
    labels[i] = batch.labels[next] as number
  }
  return { ...batch, images, mixed: { labels, shares } }
}

interface Pair {
  readonly own: ImageValues
  readonly other: ImageValues
  readonly to: ImageValues
}

function add({ own, other, to }: Pair, share: number): number {
  const half = roundingOf(to)
  for (let i = 0; i < to.length; i++) {
    const value = other[i] as number
    to[i] = value + share * ((own[i] as number) - value) + half
  }
  return share
}

/** Returns the share of the pixels that are the image's own. */
function paste(
  { own, other, to }: Pair,
  [height, width, channels]: ImageShape,
  share: number,
  chance: Random,
): number {
  const side = Math.sqrt(1 - share)
  const [top, bottom] = span(height, Math.floor(height * side), chance)
  const [left, right] = span(width, Math.floor(width * side), chance)
  to.set(own)
  for (let row = top; row < bottom; row++) {
    const start = (row * width + left) * channels
    to.set(other.subarray(start, start + (right - left) * channels), start)
  }
  return 1 - ((bottom - top) * (right - left)) / (height * width)
}

/** A piece of a line about a centre drawn uniformly, cut off at the ends. */
function span(length: number, piece: number, chance: Random): readonly [start: number, end: number] {
  const start = chance.below(length) - Math.floor(piece / 2)
  return [Math.max(0, start), Math.min(length, start + piece)]
}

/** A number of Beta(alpha, alpha), as the share of one of two gamma variates. */
function beta(chance: Random, alpha: number): number {
  const [one, other] = [logGamma(chance, alpha), logGamma(chance, alpha)]
  return 1 / (1 + Math.exp(other - one))
}

/**
 * The logarithm of a number of Gamma(shape, 1), by rejection (Marsaglia & Tsang, 2000); below 1 from shape + 1. Logarithms,
 * because numbers of small shapes round to 0.
 */
function logGamma(chance: Random, shape: number): number {
  if (shape < 1) return logGamma(chance, shape + 1) + Math.log(1 - chance.next()) / shape
  const d = shape - 1 / 3
  const c = 1 / Math.sqrt(9 * d)
  for (;;) {
    const x = chance.normal()
    const v = (1 + c * x) ** 3
    if (v > 0 && Math.log(1 - chance.next()) < x ** 2 / 2 + d * (1 - v + Math.log(v))) return Math.log(d * v)
  }
}
