import type { BoundExperiment } from './experiment.js'

/** The text of Chen et al.: softmax gates, one norm for all of an expert's weights, one softmax. */
const flags = { setting: 'S2', epochs: 501, gate: 'softmax', gateNoise: 'selection-only' }

/** The bound of Zhao et al. beside what mixtures lose on new samples. */
export const bound: BoundExperiment = {
  kind: 'bound',
  name: 'bound',
  title: 'The generalisation bound and the measured gap',
  paper: 'Theorem 1 of Zhao, Wang, Wang, Generalization Error Analysis for Sparse Mixture-of-Experts (2024)',
  claim:
    'At fixed T and m a mixture of fewer active experts generalises better: the bound grows as sqrt(k (1 + ln(T/k)) / m).',
  model: 'sample-moe',
  dataset: 'theory-clusters',
  data: 'Drawn samples of four clusters (Chen et al., 2022, setting S2): four patches of 50 numbers; a basis and data of its own for each seed.',
  scales: {
    full: {
      seeds: 5,
      base: { active: 1, experts: 8, samples: 250 },
      active: [1, 2, 4, 8],
      experts: [2, 4, 8, 16],
      samples: [60, 125, 250, 500, 1000, 2000],
      testSamples: 8000,
      delta: 0.05,
      margin: 1,
      flags,
    },
    small: {
      seeds: 2,
      base: { active: 1, experts: 8, samples: 250 },
      active: [1, 8],
      experts: [2, 8],
      samples: [60, 250, 1000],
      testSamples: 1000,
      delta: 0.05,
      margin: 1,
      flags: { ...flags, epochs: 200 },
    },
  },
}
