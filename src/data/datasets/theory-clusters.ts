import { clusterSamples } from './cluster-samples.js'
import { checkSamples, type DatasetEntry } from './dataset.js'

const defaultSamples = 16_000

/** All samples in each step, which is an epoch. */
const fullBatch = {
  samples: defaultSamples,
  fullBatch: true,
  batchSize: defaultSamples,
  bnStatistics: 'moving',
} as const

/**
 * Clustered samples, on which single networks fail and mixtures of experts do not (Chen et al., NeurIPS 2022). Unlike
 * other datasets its test samples depend on the seed, as they must share the basis of the training samples.
 */
export const theoryClusters: DatasetEntry = {
  name: 'theory-clusters',
  title: 'Clusters of the theory',
  source: 'generated',
  values: 'floats',
  taskForbids: ['mirroring', 'turning', 'cutting'],
  description:
    'Samples of four patches of 50 numbers in four clusters; the seed draws one basis for training and test samples.',
  licence: 'none needed: drawn from a seed',
  homepage: 'https://github.com/uclaml/MoE',
  defaultSamples,
  settings: ['setting'],
  recipe: {
    suggested: 'sample',
    sample: {
      patchSize: 1,
      // Algorithm 1: experts by normalised gradients, the router by plain ones.
      mixture: {
        numExperts: 8,
        filtersPerOutput: 8,
        initialScale: 1e-3,
        training: {
          ...fullBatch,
          epochs: 501,
          optimizer: 'normalized-gd',
          learningRate: 1e-3,
          layerRates: [{ pattern: 'logits/router', learningRate: 0.1 }],
        },
      },
      single: {
        filtersPerOutput: 40,
        initialScale: 1,
        training: { ...fullBatch, epochs: 801, optimizer: 'adam', learningRate: 1e-2, l2: 5e-4 },
      },
    },
  },
  async load(_source, options) {
    checkSamples(theoryClusters.name, options)
    const { samples = defaultSamples, testSamples = defaultSamples, seed, setting = 'S1' } = options
    return {
      name: theoryClusters.name,
      train: clusterSamples({ setting, count: samples, seed, half: 'train' }),
      test: clusterSamples({ setting, count: testSamples, seed, half: 'test' }),
    }
  },
}
