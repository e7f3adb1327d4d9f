import type { CostExperiment } from './experiment.js'

const base = { batch: 64, patchSide: 8, hiddenUnits: 960, base: { l: 16, k: 4, n: 256 } } as const

/** Table 1: what a training step costs. */
export const table1: CostExperiment = {
  kind: 'cost',
  name: 'table1',
  title: 'What a training step costs',
  paper:
    'Table 1: the work of an iteration is O(B k n d) for the forward and O(B k l^2 d) for the backward pass of the routers, O(B m l d) for the experts; O(B m n d) for a CNN',
  claim: 'The cost of an iteration grows with l instead of n: far below that of the CNN where l is small.',
  scales: {
    full: {
      ...base,
      seeds: 5,
      rounds: 7,
      axes: [
        { letter: 'l', values: [8, 16, 32, 64, 128] },
        { letter: 'k', values: [2, 4, 8, 16] },
        { letter: 'n', values: [64, 144, 256, 400, 576] },
      ],
    },
    small: {
      ...base,
      batch: 8,
      seeds: 2,
      rounds: 3,
      axes: [
        { letter: 'l', values: [8, 32, 128] },
        { letter: 'k', values: [2, 8] },
        { letter: 'n', values: [64, 256] },
      ],
    },
  },
}
