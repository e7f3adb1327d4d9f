import type { Random } from '../../random.js'
import type { ImageShape } from '../../shapes.js'
import { rotate, shearX, shearY } from './affine.js'
import { brighten, contrast, inTurn, saturate } from './colour.js'
import { autoContrast, equalize, posterize, sharpen, solarize } from './tone.js'
import type { DrawVariation, Variation } from './variation.js'
import { cutWindow } from './windows.js'

/** How many changes RandAugment makes of an image, and how strong. */
export interface RandAugmentOptions {
  /** Changes of an image, one after the other; an integer of at least 1. */
  readonly operations: number
  /** Strength on the scale 0..30 of torchvision; an integer. */
  readonly magnitude: number
}

/** Strengths are counted from 0 to this. */
export const MOST_MAGNITUDE = 30

/** One change that a policy can choose. */
interface Transform {
  /** Whether half of the images get it the other way round. */
  readonly isSigned: boolean
  /** Its value at a share of the greatest strength, [0, 1], in TrivialAugment ... */
  wide(share: number, shape: ImageShape): number
  /** ... and in RandAugment. */
  usual(share: number, shape: ImageShape): number
  of(value: number): Variation
}

/** No image is moved by more of its side than in RandAugment, where the 32 pixels of TrivialAugment are more. */
const MOST_MOVED = 150 / 331

function scaled(of: Transform['of'], wide: number, usual: number): Transform {
  return { isSigned: true, wide: share => share * wide, usual: share => share * usual, of }
}

/** @param axis of the shape along which it moves */
function moved(axis: 0 | 1, of: Transform['of']): Transform {
  return {
    isSigned: true,
    wide: (share, shape) => share * Math.min(32, MOST_MOVED * shape[axis]),
    usual: (share, shape) => share * MOST_MOVED * shape[axis],
    of: pixels => of(Math.trunc(pixels)),
  }
}

function unscaled(change: Variation): Transform {
  return { isSigned: false, wide: () => 0, usual: () => 0, of: () => change }
}

const unchanged: Variation = (from, to) => to.set(from)

/** The fourteen changes of both policies with the ranges of torchvision, each as likely as the others. */
const transforms: readonly Transform[] = [
  unscaled(unchanged),
  scaled(shearX, 0.99, 0.3),
  scaled(shearY, 0.99, 0.3),
  moved(1, pixels => cutWindow({ top: 0, left: -pixels, mirrored: false })),
  moved(0, pixels => cutWindow({ top: -pixels, left: 0, mirrored: false })),
  scaled(rotate, 135, 30),
  scaled(value => brighten(1 + value), 0.99, 0.9),
  scaled(value => saturate(1 + value), 0.99, 0.9),
  scaled(value => contrast(1 + value), 0.99, 0.9),
  scaled(value => sharpen(1 + value), 0.99, 0.9),
  {
    isSigned: false,
    wide: share => 8 - Math.round(6 * share),
    usual: share => 8 - Math.round(4 * share),
    of: posterize,
  },
  { isSigned: false, wide: share => 255 * (1 - share), usual: share => 255 * (1 - share), of: solarize },
  unscaled(autoContrast),
  unscaled(equalize),
]

/**
 * One change of an image with a strength drawn uniformly from 31: TrivialAugment, wide (Müller & Hutter, ICCV 2021), as
 * `TrivialAugmentWide` of torchvision, except that no image is moved by more than 45 % of its side.
 */
export function trivialAugment(shape: ImageShape): DrawVariation {
  return chance => {
    const transform = transforms[chance.below(transforms.length)] as Transform
    const share = chance.below(MOST_MAGNITUDE + 1) / MOST_MAGNITUDE
    return signed(transform, transform.wide(share, shape), chance)
  }
}

/** Some changes of an image, all of one strength: RandAugment (Cubuk et al., 2020), as `RandAugment` of torchvision. */
export function randAugment(shape: ImageShape, { operations, magnitude }: RandAugmentOptions): DrawVariation {
  const share = magnitude / MOST_MAGNITUDE
  return chance =>
    inTurn(
      Array.from({ length: operations }, () => {
        const transform = transforms[chance.below(transforms.length)] as Transform
        return signed(transform, transform.usual(share, shape), chance)
      }),
    )
}

function signed(transform: Transform, value: number, chance: Random): Variation {
  const isNegative = chance.below(2) === 1 && transform.isSigned
  return transform.of(isNegative ? -value : value)
}
