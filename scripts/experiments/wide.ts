import type { ExperimentData, Flags, Scale, ScaleName, Variant } from './experiment.js'

/** The dense network. */
export const dense: Variant = { name: 'WRN', model: 'wrn', flags: {} }

/** The sparse mixture of this package, with the experts and patches of the recipe. */
export const mixture: Variant = { name: 'WRN-pMoE', model: 'wrn-pmoe', flags: {} }

/**
 * How the paper trains its wide networks, with Keras's defaults where it says nothing: WRN-10-10, 50 epochs of plain
 * SGD.
 */
export const paperTraining: Flags = {
  widen: 10,
  epochs: 50,
  batchSize: 128,
  optimizer: 'sgd',
  lr: 0.1,
  bnMomentum: 0.99,
  bnStatistics: 'moving',
}

/** The published network of figures 10 to 12: its experts see the 16x16 map masked. */
export const paperFaces: Variant = {
  name: 'WRN-pMoE',
  model: 'wrn-pmoe',
  flags: {
    variant: 'authors',
    experts: 8,
    patchesPerExpert: 2,
    patchSize: 4,
    kernelSize: 3,
    gate: 'softmax-all',
  },
}

/** The published network of figures 14 to 16. */
export const paperObjects: Variant = {
  name: 'WRN-pMoE',
  model: 'wrn-pmoe',
  flags: {
    variant: 'authors',
    experts: 4,
    patchesPerExpert: 16,
    patchSize: 1,
    kernelSize: 1,
    gate: 'softmax-all',
  },
}

/**
 * CelebA's task of this name, and the drawn faces that stand in for it; one folder of them serves all three figures.
 */
export function faceData(dataset: string): ExperimentData {
  return {
    dataset,
    fetch:
      'Fetch CelebA (https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html) and give its folder or archive as --data.',
    standIn: {
      dataset,
      sentence:
        'A stand-in for CelebA: faces that are drawn, not photographed, with exact attributes; ' +
        'far less varied than people.',
      folder: 'Draw them with: npm run drawn-faces -- --out faces --count 14000 --eyeglasses 0.5 --test 0.12',
    },
  }
}

/** The data of a figure on CIFAR-10, and the dataset of Fashion-MNIST that stands in for it. */
export function objectData(dataset: string, standIn: string, sentence: string): ExperimentData {
  return {
    dataset,
    fetch: 'Fetch the binary version of CIFAR-10 (pmoe data fetch cifar10) and give its folder as --data.',
    standIn: { dataset: standIn, sentence: `A stand-in for CIFAR-10: ${sentence}` },
  }
}

/** Settings that two cores can train: narrow networks, with the recipe's BatchNorm statistics. */
export const narrow: Flags = { widen: 1, epochs: 30, batchSize: 32, optimizer: 'sgd', lr: 0.1 }

/** The scales of figures 14 to 16 on Fashion-MNIST. */
export const fashionScales: Readonly<Record<ScaleName, Scale>> = {
  full: { seeds: 5, samples: [125, 250, 500, 1000, 2000], flags: { ...narrow, testSamples: 1000 } },
  small: { seeds: 2, samples: [100, 250], flags: { ...narrow, epochs: 5, testSamples: 300 } },
}

/** The paper's own settings on CIFAR-10. */
export function paperObjectScale(samples: readonly number[], patchesPerExpert = 16): Scale {
  const mixture = { ...paperObjects, flags: { ...paperObjects.flags, patchesPerExpert } }
  return { seeds: 5, samples, flags: paperTraining, variants: [dense, mixture] }
}
