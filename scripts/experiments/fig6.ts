import type { TrainingExperiment } from './experiment.js'
import { digitData, digitTraining, joint } from './two-layer.js'

const flags = { ...digitTraining, patchesPerExpert: 6 }
const full = { seeds: 10, samples: [500], experts: [2, 4, 5, 8, 10, 20], flags } as const

/** Figure 6: accuracy against the number of experts. */
export const fig6: TrainingExperiment = {
  kind: 'training',
  name: 'fig6',
  title: 'More experts: joint training',
  paper: 'Figure 6: test accuracy of joint pMoE against k, the training images fixed',
  claim: 'The error grows as k^(1/4), once k is large enough for every class to have an expert of its own.',
  data: digitData,
  variants: [joint],
  scales: {
    full,
    small: { ...full, seeds: 3, samples: [300], experts: [2, 8, 20], flags },
  },
  paperScale: full,
  untilNoError: true,
  figure: { kind: 'sweep', over: 'experts', from: 8, exponent: 1 / 4 },
}
