import type { PruningExperiment } from './experiment.js'

/** Those that make sense for experts that choose patches, with gate softmax-selected. */
const criteria = [
  'router-norm',
  'router-norm-abs',
  'router-distance',
  'router-magnitude',
  'expert-magnitude',
  'importance',
  'coverage',
  'activation-norm',
  'taylor',
  'random',
]

const sgd = { batchSize: 32, learningRate: 0.1 } as const

/** Which experts can go after fine-tuning. */
export const pruning: PruningExperiment = {
  kind: 'pruning',
  name: 'pruning',
  title: 'Experts that can go after fine-tuning',
  paper:
    'The criterion of Chowdhury, Wang, El Maghraoui, Wang, Chen, Carothers, A Provably Effective Method for Pruning Experts in Fine-tuned Sparse Mixture-of-Experts (ICML 2024), against others',
  claim:
    'Experts whose routers grew least in fine-tuning can go without loss, as long as those stay that learned what the new task needs.',
  patternSentence: 'Part 1: drawn patterns of the theory, eight classes first, then two of them.',
  standInSentence:
    'Part 2: a stand-in for CIFAR-100 and CIFAR-10, the part of Fashion-MNIST in the package at 16x16 pixels; six classes of clothes first, then four of accessories.',
  paperSentence: 'Part 2: CIFAR-100 first, then CIFAR-10.',
  paperPhotographs: {
    widen: 10,
    pretraining: { samples: 50_000, epochs: 60, batchSize: 128, learningRate: 0.1 },
    fineTuning: { samples: 50_000, epochs: 20, batchSize: 128, learningRate: 0.05 },
    afterwards: { samples: 50_000, epochs: 5, batchSize: 128, learningRate: 0.005 },
    testSamples: 10_000,
  },
  scales: {
    full: {
      seeds: 5,
      criteria,
      patterns: {
        numClasses: 8,
        experts: 16,
        patchesPerExpert: 2,
        hiddenUnits: 160,
        testSamples: 500,
        pretraining: { samples: 2000, epochs: 20, batchSize: 20, learningRate: 0.2 },
        fineTuning: { samples: 500, epochs: 20, batchSize: 20, learningRate: 0.2 },
      },
      photographs: {
        experts: 8,
        patchesPerExpert: 4,
        widen: 1,
        pretraining: { ...sgd, samples: 1200, epochs: 15 },
        fineTuning: { ...sgd, samples: 400, epochs: 15 },
        afterwards: { ...sgd, samples: 400, epochs: 5, learningRate: 0.01 },
        testSamples: 600,
        kept: [8, 6, 4, 3, 2, 1],
        randomDraws: 5,
      },
      latencyRounds: 50,
    },
    small: {
      seeds: 1,
      criteria,
      patterns: {
        numClasses: 8,
        experts: 8,
        patchesPerExpert: 2,
        hiddenUnits: 80,
        testSamples: 300,
        pretraining: { samples: 800, epochs: 10, batchSize: 20, learningRate: 0.2 },
        fineTuning: { samples: 200, epochs: 5, batchSize: 20, learningRate: 0.2 },
      },
      photographs: {
        experts: 4,
        patchesPerExpert: 4,
        widen: 1,
        pretraining: { ...sgd, samples: 300, epochs: 2 },
        fineTuning: { ...sgd, samples: 100, epochs: 8 },
        afterwards: { ...sgd, samples: 100, epochs: 1, learningRate: 0.01 },
        testSamples: 100,
        kept: [4, 2, 1],
        randomDraws: 2,
      },
      latencyRounds: 5,
    },
  },
}
