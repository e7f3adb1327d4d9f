import type { TransferExperiment } from './transfer-experiment.js'

const shares = [5, 10, 25, 50, 100]
const samples = [25, 100, 400, 1000]
const maps = [4, 8, 16, 32]
const kept = [6.25, 25, 100]
/** The best of several on other images of training, each for its layer. */
const rates = { learningRates: { dense: 0.1, mixture: 0.01 } } as const
const slowRates = { learningRates: { dense: 0.003, mixture: 0.003 } } as const
const pretraining = {
  samples: 1200,
  steps: 450,
  leastEpochs: 1,
  batchSize: 32,
  learningRate: 3e-3,
} as const

/** Where a mixture pays: by the size of the object, the map, the number of images, and what was trained before. */
export const transfer: TransferExperiment = {
  kind: 'transfer',
  name: 'transfer',
  title: 'Where a mixture pays',
  paper:
    'A question of practice, which the papers leave open: patch-level mixtures behind pretrained networks, and at other maps than the last',
  claim:
    'With few images, a layer whose experts keep a quarter of the patches learns small objects better than the same layer on the whole map.',
  data: 'An accessory of Fashion-MNIST among clothes of the same size on photographs of plants, from the package: which of four it is. It fills a set share of the image and lies anywhere. A training set of its own for each seed, one test set for all.',
  ownNetwork:
    'The pretrained network is one of four convolutions of stride 2, trained on the clothes at all sizes.',
  scales: {
    full: {
      seeds: 5,
      parts: [
        { body: 'pretrained', shares, samples, maps, kept },
        { body: 'from scratch', shares, samples, maps, kept },
      ],
      testSamples: 600,
      training: {
        pretrained: { ...rates, steps: 300, leastEpochs: 10, batchSize: 32 },
        'from scratch': { ...slowRates, steps: 1000, leastEpochs: 20, batchSize: 32 },
      },
      pretraining,
    },
    small: {
      seeds: 5,
      parts: [
        { body: 'pretrained', shares: [10, 25, 100], samples: [100], maps: [4, 8, 16], kept: [25] },
        { body: 'pretrained', shares: [10], samples: [100], maps: [32], kept: [25] },
        { body: 'pretrained', shares: [10], samples: [100], maps: [16], kept: [6.25, 100] },
        { body: 'pretrained', shares: [10], samples: [25, 400, 1000], maps: [16], kept: [25] },
        { body: 'pretrained', shares: [5, 50], samples: [100], maps: [4, 8, 16], kept: [25] },
        { body: 'pretrained', shares: [10, 25], samples: [100], maps: [8], kept: [6.25, 100] },
        { body: 'pretrained', shares: [25], samples: [25, 400, 1000], maps: [8], kept: [25] },
        { body: 'from scratch', shares: [10], samples: [1000], maps: [16], kept: [25] },
        { body: 'from scratch', shares: [25], samples: [400, 1000], maps: [8], kept: [25] },
      ],
      testSamples: 300,
      training: {
        pretrained: { ...rates, steps: 160, leastEpochs: 5, batchSize: 16 },
        'from scratch': { ...slowRates, steps: 300, leastEpochs: 5, batchSize: 16 },
      },
      pretraining,
    },
  },
}
