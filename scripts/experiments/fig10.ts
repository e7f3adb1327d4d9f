import type { TrainingExperiment } from './experiment.js'
import { dense, faceData, mixture, narrow, paperFaces, paperTraining } from './wide.js'

const flags = { ...narrow, testSamples: 1000 }

/** Figure 10: a binary task on faces. */
export const fig10: TrainingExperiment = {
  kind: 'training',
  name: 'fig10',
  title: 'Smiling or not',
  paper: 'Figure 10: test accuracy of WRN and WRN-pMoE on "Smiling" of CelebA',
  claim: 'WRN-pMoE reaches 86 % with less than a fifth of the training images that WRN needs.',
  data: faceData('celeba-smiling'),
  variants: [dense, mixture],
  scales: {
    full: { seeds: 5, samples: [250, 500, 1000], flags },
    small: { seeds: 2, samples: [100, 250], flags: { ...flags, epochs: 5, testSamples: 300 } },
  },
  paperScale: {
    seeds: 5,
    samples: [2000, 4000, 6000, 8000, 10_000],
    flags: paperTraining,
    variants: [dense, paperFaces],
  },
  figure: { kind: 'curve', measure: { of: 'accuracy' }, target: 0.86 },
}
