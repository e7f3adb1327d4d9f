import type { Band, ClustersExperiment, ClustersVariant, Flags } from './experiment.js'

/** Numbers of the four settings, by their names. */
function bySetting<Value>(...values: readonly Value[]): Record<string, Value> {
  return Object.fromEntries(values.map((value, i) => [`S${i + 1}`, value]))
}

/** What the published code reports: accuracy in percent, entropy in nats, each with its standard deviation. */
function published(
  ...rows: readonly (readonly [accuracy: readonly number[], entropy?: readonly number[]])[]
) {
  return bySetting(...rows.map(([accuracy, entropy]) => ({ accuracy, ...(entropy && { entropy }) })))
}

function bands(...rows: readonly (readonly [accuracy: Band, entropy?: Band])[]) {
  return bySetting(...rows.map(([accuracy, entropy]) => ({ accuracy, ...(entropy && { entropy }) })))
}

const blind = 1.386

/** The published notebooks: the raw score as gate, the norms of weights and bias added up, softmax twice. */
const authors: Flags = {
  gate: 'raw',
  norm: 'sum',
  lossForm: 'cross-entropy-of-probabilities',
  stopWhen: { lossAtMost: 0.314, lossAboveBest: 0.02 },
  epochs: 501,
}
/** The text of the paper: softmax gates, one norm for all of an expert's weights, one softmax. */
const paper: Flags = { gate: 'softmax', norm: 'frobenius', lossForm: 'cross-entropy', epochs: 501 }

/** One network of 80 filters, trained by Adam; one softmax. */
function single(
  name: string,
  activation: string,
  lr: number,
  more: Partial<ClustersVariant>,
): ClustersVariant {
  return {
    name,
    model: 'sample-single',
    flags: {
      activation,
      filters: 40,
      optimizer: 'adam',
      lr,
      l2: 5e-4,
      stopWhen: { lossAboveBest: 0.02, afterEpoch: 500 },
      epochs: 801,
    },
    ...more,
  }
}

function mixture(name: string, flags: Flags, more: Partial<ClustersVariant> = {}): ClustersVariant {
  return { name, model: 'sample-moe', flags, ...more }
}

const [linear, cubic]: readonly Flags[] = [{ activation: 'linear' }, { activation: 'cubic' }]

/** Table 1 of Chen et al. */
export const clusters: ClustersExperiment = {
  kind: 'clusters',
  name: 'clusters',
  title: 'Samples of four clusters, one expert a sample',
  paper:
    'Table 1 of Chen, Deng, Wu, Gu, Li, Towards Understanding Mixture of Experts in Deep Learning (NeurIPS 2022)',
  claim:
    'A mixture of nonlinear experts finds the clusters and is right nearly always; linear experts are less, and a single network, whatever its activation, is far behind.',
  dataset: 'theory-clusters',
  data: 'Drawn samples of the data model of that paper: four patches of 50 numbers, of which one tells the class and one the cluster; a basis and data of its own for each seed.',
  variants: [
    single('single linear', 'linear', 3e-3, {
      published: published([[68.31]], [[68.22]], [[74.3]], [[74.28]]),
      bands: bands([[66, 71]], [[66, 71]], [[72, 76]], [[72, 76]]),
    }),
    single('single nonlinear', 'cubic', 1e-2, {
      // A step computes every filter on every patch, five times the work of the mixture.
      published: published([[79.57]], [[77.38]], [[73.72]], [[70.26]]),
      bands: bands([[75, 83]], [[70, 80]], [[71, 78]], [[67, 76]]),
    }),
    mixture(
      'MoE linear',
      { ...authors, ...linear },
      {
        published: published(
          [
            [93.0, 2.11],
            [1.3, 0.044],
          ],
          [
            [89.49, 1.35],
            [1.262, 0.095],
          ],
          [
            [95.93, 1.34],
            [1.16, 0.1],
          ],
          [
            [93.3, 1.48],
            [1.16, 0.155],
          ],
        ),
        bands: bands(
          [
            [90, 96.5],
            [1.15, blind],
          ],
          [
            [87, 93.5],
            [1.1, blind],
          ],
          [
            [94, 98],
            [1, blind],
          ],
          [
            [91, 96],
            [1, blind],
          ],
        ),
      },
    ),
    mixture(
      'MoE nonlinear',
      { ...authors, ...cubic },
      {
        published: published(
          [
            [99.46, 0.55],
            [0.098, 0.088],
          ],
          [
            [98.1, 1.56],
            [0.183, 0.144],
          ],
          [
            [99.99, 0.02],
            [0.008, 0.011],
          ],
          [
            [98.92, 1.18],
            [0.089, 0.12],
          ],
        ),
        bands: bands(
          [
            [97.5, 100],
            [0, 0.45],
          ],
          [
            [96, 100],
            [0, 0.5],
          ],
          [
            [99.5, 100],
            [0, 0.1],
          ],
          [
            [97, 100],
            [0, 0.35],
          ],
        ),
      },
    ),
    mixture('MoE linear, one softmax', { ...paper, ...linear }),
    mixture(
      'MoE nonlinear, one softmax',
      { ...paper, ...cubic },
      {
        bands: {
          S1: { accuracy: [99.5, 100], entropy: [0, 0.05] },
        },
      },
    ),
    mixture('MoE nonlinear, one softmax, stopped', {
      ...paper,
      ...cubic,
      // Before one sample that goes to a wrong expert, whose answer is far off by then, turns the router over.
      stopWhen: { lossAboveBest: 0.02 },
    }),
    mixture(
      'MoE linear, balanced',
      { ...authors, ...linear, loadBalance: 1e-4 },
      { settings: ['S1'], published: { S1: { accuracy: [93.81, 1.1], entropy: [1.272, 0.037] } } },
    ),
    mixture(
      'MoE nonlinear, balanced',
      { ...authors, ...cubic, loadBalance: 1e-4 },
      { settings: ['S1'], published: { S1: { accuracy: [99.39, 0.33], entropy: [0.083, 0.095] } } },
    ),
  ],
  scales: {
    full: {
      seeds: 10,
      settings: ['S1', 'S3', 'S2', 'S4'],
      samples: 16_000,
      testSamples: 16_000,
      entropySteps: 25,
      flags: {},
    },
    small: {
      seeds: 2,
      settings: ['S1', 'S3'],
      samples: 2000,
      testSamples: 4000,
      entropySteps: 25,
      flags: {},
      variants: ['single linear', 'single nonlinear', 'MoE linear', 'MoE nonlinear'],
    },
  },
  order: {
    singles: ['single linear', 'single nonlinear'],
    linear: 'MoE linear',
    nonlinear: 'MoE nonlinear',
  },
  ceilings: { S3: 87.5, S4: 87.5 },
  pairs: [
    ['MoE nonlinear', 'MoE linear'],
    ['MoE nonlinear, one softmax', 'MoE nonlinear'],
    ['MoE nonlinear, one softmax, stopped', 'MoE nonlinear, one softmax'],
    ['MoE linear, balanced', 'MoE linear'],
    ['MoE nonlinear, balanced', 'MoE nonlinear'],
  ],
  figure: [
    'single linear',
    'single nonlinear',
    'MoE linear',
    'MoE nonlinear',
    'MoE linear, one softmax',
    'MoE nonlinear, one softmax',
  ],
}
