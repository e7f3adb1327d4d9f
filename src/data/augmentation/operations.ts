import type { ImageShape } from '../../shapes.js'
import { rotate } from './affine.js'
import type { Augmentation } from './augmentation.js'
import { blur } from './blur.js'
import { drawJitter, grey, JITTER_PARTS } from './colour.js'
import { erase, randomBox } from './erasing.js'
import { MOST_MAGNITUDE, randAugment, trivialAugment } from './policies.js'
import { between, type DrawVariation } from './variation.js'
import { cutWindow, mirrorVertically, randomWindow, stretchWindow } from './windows.js'

/** One way of varying an image. */
export interface Operation {
  /** What is drawn for it is independent of all others: the name of its random numbers. */
  readonly purpose: string
  /** The options that are its own. */
  readonly options: readonly (keyof Augmentation)[]
  /** Whether it takes colours, pixels 0..255 of one or three channels, and no other values. */
  readonly takesColours?: boolean
  /**
   * What draws for one image; undefined where it is off.
   *
   * @throws RangeError when an option is out of range
   */
  drawing(augmentation: Omit<Augmentation, 'seed'>, shape: ImageShape): DrawVariation | undefined
}

/** Every way of varying an image, in the order in which they are applied. A new one is an option and an entry here. */
export const operations: readonly Operation[] = [
  {
    purpose: 'random crop',
    options: ['randomCrop'],
    drawing({ randomCrop = 0 }, shape) {
      checkRange('randomCrop', randomCrop, 1)
      if (randomCrop === 0) return undefined
      return chance => stretchWindow(randomWindow(chance, shape, randomCrop))
    },
  },
  {
    // The numbers that were drawn before there were other operations.
    purpose: '',
    options: ['flip', 'padCrop'],
    drawing({ flip = false, padCrop = 0 }, [height, width]) {
      const most = Math.min(height, width) - 1
      if (!Number.isInteger(padCrop) || padCrop < 0 || padCrop > most) {
        throw new RangeError(`augmented: padCrop must be an integer in [0, ${most}], got ${padCrop}`)
      }
      if (!flip && padCrop === 0) return undefined
      return chance => {
        const mirrored = flip && chance.below(2) === 1
        const top = chance.below(2 * padCrop + 1) - padCrop
        const left = chance.below(2 * padCrop + 1) - padCrop
        return cutWindow({ top, left, mirrored })
      }
    },
  },
  {
    purpose: 'vertical flip',
    options: ['verticalFlip'],
    drawing: ({ verticalFlip = false }) =>
      verticalFlip ? chance => (chance.below(2) === 1 ? mirrorVertically : undefined) : undefined,
  },
  {
    purpose: 'rotation',
    options: ['rotate'],
    drawing({ rotate: most = 0 }) {
      checkRange('rotate', most, 180)
      return most === 0 ? undefined : chance => rotate(between(chance, -most, most))
    },
  },
  {
    purpose: 'trivial augment',
    options: ['trivialAugment'],
    takesColours: true,
    drawing: ({ trivialAugment: isOn = false }, shape) => (isOn ? trivialAugment(shape) : undefined),
  },
  {
    purpose: 'rand augment',
    options: ['randAugment'],
    takesColours: true,
    drawing({ randAugment: options }, shape) {
      if (!options || options.operations === 0) return undefined
      checkInteger('randAugment.operations', options.operations, 8)
      checkInteger('randAugment.magnitude', options.magnitude, MOST_MAGNITUDE)
      return randAugment(shape, options)
    },
  },
  {
    purpose: 'jitter',
    options: ['jitter'],
    takesColours: true,
    drawing({ jitter = {} }) {
      for (const part of JITTER_PARTS) {
        checkRange(`jitter.${part}`, jitter[part] ?? 0, part === 'hue' ? 0.5 : Number.MAX_VALUE)
      }
      return JITTER_PARTS.some(part => jitter[part]) ? chance => drawJitter(chance, jitter) : undefined
    },
  },
  {
    purpose: 'grey',
    options: ['grey'],
    takesColours: true,
    drawing: ({ grey: probability = 0 }) => sometimes('grey', probability, () => grey),
  },
  {
    purpose: 'blur',
    options: ['blur'],
    drawing: ({ blur: probability = 0 }) =>
      sometimes('blur', probability, chance => blur(between(chance, 0.1, 2))),
  },
  {
    purpose: 'erasing',
    options: ['erase'],
    drawing: ({ erase: probability = 0 }, shape) =>
      sometimes('erase', probability, chance => {
        const box = randomBox(chance, shape)
        return box && erase(box)
      }),
  },
]

function sometimes(option: string, probability: number, draw: DrawVariation): DrawVariation | undefined {
  checkRange(option, probability, 1)
  if (probability === 0) return undefined
  return chance => (chance.next() < probability ? draw(chance) : undefined)
}

/** @throws RangeError when a value is not in [0, most] */
function checkRange(option: string, value: number, most: number): void {
  if (value >= 0 && value <= most) return
  const range = most === Number.MAX_VALUE ? 'a number of at least 0' : `in [0, ${most}]`
  throw new RangeError(`augmented: ${option} must be ${range}, got ${value}`)
}

/** @throws RangeError when a value is not an integer in [0, most] */
function checkInteger(option: string, value: number, most: number): void {
  if (Number.isInteger(value) && value >= 0 && value <= most) return
  throw new RangeError(`augmented: ${option} must be an integer in [0, ${most}], got ${value}`)
}
