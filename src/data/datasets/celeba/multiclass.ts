import { type FaceTask, faceDataset, faceRecipe } from './task.js'

const classNames = [
  'Not_Smiling without Eyeglasses',
  'Not_Smiling with Eyeglasses',
  'Smiling without Eyeglasses',
  'Smiling with Eyeglasses',
] as const

/** Smiling or not, with or without eyeglasses: four classes, as many of each. */
export const multiclassTask: FaceTask<'Smiling' | 'Eyeglasses'> = {
  name: 'celeba-multiclass',
  title: 'CelebA: smiling and eyeglasses',
  description: 'Four classes: smiling or not, with or without eyeglasses; 64x64 RGB.',
  defaultSamples: 16_000,
  recipe: faceRecipe({ samples: 4000, oneLogit: false }),
  classNames,
  cells: classNames.map((name, label) => {
    return { name, label, has: { Smiling: label < 2 ? -1 : 1, Eyeglasses: label % 2 === 0 ? -1 : 1 } }
  }),
  cellsAreGroups: false,
  trainTurn: place => place % classNames.length,
}

/** The paper's task of four classes (figure 12, table 2). */
export const celebaMulticlass = faceDataset(multiclassTask)
