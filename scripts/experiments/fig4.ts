import type { TrainingExperiment } from './experiment.js'
import { cnn, digitData, digitTraining, joint, separate } from './two-layer.js'

const full = {
  seeds: 10,
  samples: [100, 200, 300, 400, 500, 600, 700, 800, 900, 1000],
  // The paper's CNN has no error left after 150 epochs; on small digits it takes longer.
  flags: { ...digitTraining, epochs: 600 },
} as const

/** Figure 4: accuracy against the training images. */
export const fig4: TrainingExperiment = {
  kind: 'training',
  name: 'fig4',
  title: 'Fewer samples for the same accuracy: two-layer models',
  paper:
    'Figure 4: test accuracy of separate pMoE, joint pMoE and a CNN of the same size on patches of MNIST',
  claim: 'pMoE reaches 95 % with 60 % of the training images that the CNN needs.',
  data: digitData,
  variants: [cnn, separate, joint],
  scales: {
    full,
    small: { seeds: 3, samples: [100, 300, 600], flags: { ...digitTraining, epochs: 150 } },
  },
  paperScale: full,
  untilNoError: true,
  figure: { kind: 'curve', measure: { of: 'accuracy' }, target: 0.95 },
}
