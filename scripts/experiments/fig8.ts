import type { TrainingExperiment, Variant } from './experiment.js'
import { digitData, digitTraining, separate } from './two-layer.js'

/** Routers of eq. (6) do not depend on l: experts of 15 patches show the rank of every patch but the last. */
const routers: Variant = {
  ...separate,
  flags: { ...separate.flags, patchesPerExpert: 15 },
}
// Only the routers count here: the experts are trained for one epoch.
const flags = { ...digitTraining, epochs: 1 }
const full = { seeds: 10, samples: [100, 200, 300, 400, 500, 700, 1000], flags } as const

/** Figure 8: whether separately trained routers find the true patch. */
export const fig8: TrainingExperiment = {
  kind: 'training',
  name: 'fig8',
  title: 'Routers find the true patch: separate training',
  paper:
    'Figure 8: share of test images whose discriminative patch is among the top l of a separately trained router',
  claim: 'After 300 training images the true patch is in the top 4 for 95 % of the test images.',
  data: digitData,
  variants: [routers],
  scales: { full, small: { ...full, seeds: 3, samples: [100, 300, 600] } },
  paperScale: full,
  figure: {
    kind: 'curve',
    measure: { of: 'own-recall', ranks: [1, 2, 4, 6, 8] },
    target: 0.95,
    published: { 'top 4': [{ samples: 300, accuracy: 0.95 }] },
  },
}
