import type { ExperimentData, Flags, Variant } from './experiment.js'

/** The data of the paper's section 5.1, and their stand-in. */
export const digitData: ExperimentData = {
  dataset: 'mnist-patches',
  fetch: 'Fetch the four IDX files of MNIST (pmoe data fetch mnist) and give their folder as --data.',
  standIn: {
    dataset: 'digits-patches',
    sentence:
      'A stand-in for MNIST: 1,797 real handwritten digits of 8x8 pixels that come with the package, ' +
      'composed into 4x4 grids of 32x32 pixels; 1,343 of them are in training images, the others in test images.',
  },
}

/** How section 5.1 trains: SGD of learning rate 0.2, 40 hidden units, until the first epoch without an error. */
export const digitTraining: Flags = {
  epochs: 150,
  batchSize: 20,
  optimizer: 'sgd',
  lr: 0.2,
  hiddenUnits: 40,
  testSamples: 1000,
}

/** The CNN of 40 hidden units (eq. 5). */
export const cnn: Variant = { name: 'CNN', model: 'two-layer', flags: {} }

/** Two experts of 20 units whose routers are trained before them (Algorithm 1). */
export const separate: Variant = {
  name: 'separate pMoE',
  model: 'two-layer-pmoe',
  flags: {
    routerTraining: 'separate',
    patchesPerExpert: 2,
    routerEpochs: 100,
    routerLr: 0.2,
    gate: 'uniform',
  },
  sweeps: true,
}

/** Eight experts of 5 units, trained together with their routers (Algorithm 2). */
export const joint: Variant = {
  name: 'joint pMoE',
  model: 'two-layer-pmoe',
  flags: { experts: 8, patchesPerExpert: 6, gate: 'softmax-selected' },
  sweeps: true,
}
