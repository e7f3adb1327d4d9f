import type { TrainingExperiment } from './experiment.js'
import { dense, faceData, mixture, narrow, paperFaces, paperTraining } from './wide.js'

const flags = { ...narrow, testSamples: 1000 }

/** Figure 11: a spurious attribute in training. */
export const fig11: TrainingExperiment = {
  kind: 'training',
  name: 'fig11',
  title: 'Smiling or not, where the hair misleads',
  paper:
    'Figure 11: test accuracy of WRN and WRN-pMoE on "Smiling" of CelebA where hair colour agrees with it in 95 % of the training images',
  claim: 'WRN-pMoE is more accurate, and needs fewer training images for the same accuracy.',
  data: faceData('celeba-spurious'),
  variants: [dense, mixture],
  scales: {
    full: { seeds: 5, samples: [250, 500, 1000], flags },
    small: { seeds: 2, samples: [100, 250], flags: { ...flags, epochs: 5, testSamples: 300 } },
  },
  paperScale: {
    seeds: 5,
    samples: [5000, 10_000, 15_000, 20_000, 25_000],
    flags: paperTraining,
    variants: [dense, paperFaces],
  },
  figure: { kind: 'curve', measure: { of: 'accuracy' }, target: 0.8 },
}
