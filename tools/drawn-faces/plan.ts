import { permutation, type Random, random } from '../../src/random.js'
import type { FaceTraits, HairColour } from './face.js'

/** How many faces there are to be, and what share of them has which trait. */
export interface FacePlan {
  readonly count: number
  /** Shares in [0, 1] of all faces; black and blond together at most 1. */
  readonly smiling: number
  readonly eyeglasses: number
  readonly black: number
  readonly blond: number
  /** Shares in [0, 1] of all faces, together less than 1; the others are for training. */
  readonly validation: number
  readonly test: number
  readonly seed: number
}

/** A face to be drawn. */
export interface PlannedFace extends FaceTraits {
  /** 0 for training, 1 for validation, 2 for testing. */
  readonly part: 0 | 1 | 2
}

const otherHair: readonly HairColour[] = ['brown', 'grey', 'red']

/**
 * Plans every face: each trait has exactly its share of the faces, independently of the other traits.
 *
 * @throws RangeError when the count or a share is out of range
 */
export function planFaces(plan: FacePlan): PlannedFace[] {
  checkPlan(plan)
  const { count, seed } = plan
  const drawn = (share: number, purpose: string): Uint8Array => ranks(count, [share], random(seed, purpose))
  const smiling = drawn(plan.smiling, 'smiling')
  const eyeglasses = drawn(plan.eyeglasses, 'eyeglasses')
  const hair = ranks(count, [plan.black, plan.blond], random(seed, 'hair'))
  const colours = random(seed, 'other hair')
  // As in CelebA, the parts follow one another.
  const [validation, test] = [Math.round(plan.validation * count), Math.round(plan.test * count)]
  return Array.from({ length: count }, (_, i) => {
    const other = otherHair[colours.below(otherHair.length)] as HairColour
    return {
      smiling: smiling[i] === 0,
      eyeglasses: eyeglasses[i] === 0,
      hair: hair[i] === 0 ? 'black' : hair[i] === 1 ? 'blond' : other,
      part: i < count - validation - test ? 0 : i < count - test ? 1 : 2,
    }
  })
}

/** For each of `count` faces, the index of the share that it falls into; the number of shares where it is in none. */
function ranks(count: number, shares: readonly number[], chance: Random): Uint8Array {
  const ends: number[] = []
  let sum = 0
  for (const share of shares) {
    sum += share
    ends.push(Math.round(sum * count))
  }
  return Uint8Array.from(permutation(count, chance), position => {
    const rank = ends.findIndex(end => position < end)
    return rank < 0 ? ends.length : rank
  })
}

function checkPlan(plan: FacePlan): void {
  if (!Number.isInteger(plan.count) || plan.count < 1 || plan.count > 999_999) {
    throw new RangeError(`planFaces: count must be an integer in [1, 999999], got ${plan.count}`)
  }
  for (const name of ['smiling', 'eyeglasses', 'black', 'blond', 'validation', 'test'] as const) {
    if (plan[name] >= 0 && plan[name] <= 1) continue
    throw new RangeError(`planFaces: ${name} must be a share in [0, 1], got ${plan[name]}`)
  }
  const pairs = [
    ['black', 'blond'],
    ['validation', 'test'],
  ] as const
  for (const [first, second] of pairs) {
    const sum = plan[first] + plan[second]
    if (sum <= 1) continue
    throw new RangeError(`planFaces: ${first} and ${second} must be at most 1 together, got ${sum}`)
  }
}
