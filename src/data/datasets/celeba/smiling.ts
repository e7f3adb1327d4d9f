import { type FaceTask, faceDataset, faceRecipe } from './task.js'

/** Smiling or not, as many of each. */
export const smilingTask: FaceTask<'Smiling'> = {
  name: 'celeba-smiling',
  title: 'CelebA: smiling',
  description: 'Faces that smile or do not, 64x64 RGB, from a folder or an archive of CelebA.',
  defaultSamples: 10_000,
  recipe: faceRecipe({ samples: 4000, oneLogit: true }),
  classNames: ['Not_Smiling', 'Smiling'],
  cells: [
    { name: 'Not_Smiling', label: 0, has: { Smiling: -1 } },
    { name: 'Smiling', label: 1, has: { Smiling: 1 } },
  ],
  cellsAreGroups: false,
  trainTurn: place => place % 2,
}

/** The paper's binary task on CelebA (figure 10). */
export const celebaSmiling = faceDataset(smilingTask)
