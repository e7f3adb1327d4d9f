import type { TrainingExperiment } from './experiment.js'
import { digitData, digitTraining, joint } from './two-layer.js'

const full = { seeds: 10, samples: [100, 200, 300, 400, 500, 700, 1000], flags: digitTraining } as const

/** Figure 9: whether jointly trained routers give the true patch of a class to one expert. */
export const fig9: TrainingExperiment = {
  kind: 'training',
  name: 'fig9',
  title: 'Routers give a class to one expert: joint training',
  paper:
    'Figure 9: share of test images whose discriminative patch a jointly trained router dispatches with the largest gate, l = 6',
  claim:
    'After 300 training images the true patch goes to one expert with the largest gate for 95 % of class 1 and 92 % of class 2.',
  data: digitData,
  variants: [joint],
  scales: {
    full,
    small: { seeds: 3, samples: [100, 300, 600], flags: digitTraining },
  },
  paperScale: full,
  untilNoError: true,
  figure: {
    kind: 'curve',
    measure: { of: 'largest-gate' },
    target: 0.92,
    published: {
      'class 1': [{ samples: 300, accuracy: 0.95 }],
      'class 2': [{ samples: 300, accuracy: 0.92 }],
    },
  },
}
