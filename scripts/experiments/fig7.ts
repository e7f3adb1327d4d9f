import type { TrainingExperiment } from './experiment.js'
import { digitData, digitTraining, joint } from './two-layer.js'

const full = {
  seeds: 10,
  samples: [500],
  patchesPerExpert: [1, 2, 3, 4, 5, 6, 8, 10, 12, 14],
  flags: digitTraining,
} as const

/** Figure 7: accuracy against the patches kept. */
export const fig7: TrainingExperiment = {
  kind: 'training',
  name: 'fig7',
  title: 'More patches for each expert: joint training',
  paper: 'Figure 7: test accuracy of joint pMoE against l, the training images fixed',
  claim: 'The error grows as l^(3/8) once l is at least l*, which is 6.',
  data: digitData,
  variants: [joint],
  scales: {
    full,
    small: {
      seeds: 3,
      samples: [300],
      patchesPerExpert: [2, 6, 10, 14],
      flags: digitTraining,
    },
  },
  paperScale: full,
  untilNoError: true,
  figure: { kind: 'sweep', over: 'patchesPerExpert', from: 6, exponent: 3 / 8 },
}
