import type { ModelName } from '../../src/models/recipes.js'
import type { GivenFlags } from '../run/train-settings.js'

/** A dataset of the demo, and the networks that are compared on it. */
export interface DemoTask {
  readonly dataset: string
  readonly title: string
  /** What the images show, for the report. */
  readonly description: string
  readonly models: readonly { readonly model: ModelName; readonly name: string }[]
  /** Settings in which the demo differs from the recipes, so that it fits in three minutes on two cores. */
  readonly flags: GivenFlags
  /** The same settings for `--quick`. */
  readonly quickFlags: GivenFlags
  /** How the patches of the report are to be read. */
  readonly imagesNote: string
}

/** With momentum a few epochs reach the accuracy of many; plain SGD at 0.1 swings by ten points from epoch to epoch. */
const slim: GivenFlags = { widen: 2, optimizer: 'momentum', lr: 0.02 }

/** What `pmoe demo` trains. */
export const demoTasks: readonly DemoTask[] = [
  {
    dataset: 'digits-patches',
    title: 'A 0 or a 1 among fifteen other digits',
    description:
      'Each image is a grid of 4x4 handwritten digits; one of them is a 0 or a 1, and the network has to say which. ' +
      'The CNN reads all sixteen patches. In the mixture, each of eight experts reads the six patches that its router chooses.',
    models: [
      { model: 'two-layer', name: 'two-layer CNN' },
      { model: 'two-layer-pmoe', name: 'two-layer joint pMoE' },
    ],
    flags: { samples: 500, testSamples: 500, epochs: 80 },
    quickFlags: { samples: 100, testSamples: 100, epochs: 4 },
    imagesNote:
      'The first test images and, for each of the eight experts, the six of sixteen patches that its router chose.',
  },
  {
    dataset: 'fashion-quadrants',
    title: 'A shoe or a bag in one of four quadrants',
    description:
      'Each image shows a sandal, sneaker, bag or ankle boot in one quadrant and other clothes in the rest. ' +
      'Both are slim wide residual networks; in the mixture, the last convolution is split among four experts of which each computes on 16 of the 64 positions of the map.',
    models: [
      { model: 'wrn', name: 'WRN-10-2' },
      { model: 'wrn-pmoe', name: 'WRN-10-2 pMoE' },
    ],
    flags: { ...slim, samples: 500, testSamples: 500, epochs: 7 },
    quickFlags: { ...slim, samples: 48, testSamples: 24, epochs: 1 },
    imagesNote:
      'The first test images and, for each of the four experts, the 16 of 64 map positions that its router chose, drawn on the pixels below them. The layers before see more around each position, so a position also knows its neighbourhood.',
  },
]
