import type { RunConfig } from '../../src/run/run-config.js'

/** The configuration of a small run. */
export function runConfigOf(): RunConfig {
  return {
    dataset: { name: 'digits-patches', data: null, samples: 100, testSamples: 50, classNames: ['0', '1'] },
    model: {
      name: 'two-layer',
      options: {
        kind: 'two-layer',
        patchSize: 8,
        numExperts: 1,
        patchesPerExpert: 16,
        hiddenUnits: 40,
        gate: 'uniform',
        normalizer: 'selected',
      },
    },
    training: { epochs: 3, batchSize: 20, optimizer: 'sgd', learningRate: 0.1, bnStatistics: 'recomputed' },
    seed: 1,
    backend: 'cpu',
    precision: 'float32',
    memory: 'normal',
    versions: { patchMoe: '0.1.0', tfjs: '4.22.0', node: '20.0.0' },
  }
}
