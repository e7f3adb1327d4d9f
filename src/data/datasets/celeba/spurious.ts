import { type FaceTask, faceDataset, faceRecipe } from './task.js'

/** Of every hundred training images of a class, how many have the hair colour of the other class. */
const otherHair = 5

/**
 * Smiling or not, where the colour of the hair nearly gives it away in training: 95 % of the smiling have black hair,
 * 95 % of the others blond; in the test all four are equally frequent.
 *
 * Classes take turns. The images of other hair are spread evenly through the order, so that every beginning of it has
 * its 5 % to the nearest image. Faces with neither colour, or both, are left out.
 */
export const spuriousTask: FaceTask<'Smiling' | 'Black_Hair' | 'Blond_Hair'> = {
  name: 'celeba-spurious',
  title: 'CelebA: smiling, hair misleading',
  description: 'Smiling or not, 64x64 RGB; hair colour agrees in 95 % of training, in half of the test.',
  defaultSamples: 10_000,
  recipe: faceRecipe({ samples: 5000, oneLogit: true }),
  classNames: ['Not_Smiling', 'Smiling'],
  cells: [
    { name: 'Not_Smiling with Blond_Hair', label: 0, has: { Smiling: -1, Blond_Hair: 1, Black_Hair: -1 } },
    { name: 'Not_Smiling with Black_Hair', label: 0, has: { Smiling: -1, Blond_Hair: -1, Black_Hair: 1 } },
    { name: 'Smiling with Blond_Hair', label: 1, has: { Smiling: 1, Blond_Hair: 1, Black_Hair: -1 } },
    { name: 'Smiling with Black_Hair', label: 1, has: { Smiling: 1, Blond_Hair: -1, Black_Hair: 1 } },
  ],
  cellsAreGroups: true,
  trainTurn(place) {
    const label = place % 2
    const turn = Math.floor(place / 2)
    const isOther = numOtherHair(turn + 1) > numOtherHair(turn)
    return 2 * label + (isOther ? 1 - label : label)
  },
}

/** How many of the first `images` images of a class have the hair colour of the other class. */
function numOtherHair(images: number): number {
  return Math.round((images * otherHair) / 100)
}

/** The paper's task with a spurious attribute (figure 11). */
export const celebaSpurious = faceDataset(spuriousTask)
