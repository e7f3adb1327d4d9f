import type { TrainingExperiment } from './experiment.js'
import { dense, fashionScales, mixture, objectData, paperObjectScale } from './wide.js'

// The rarest class of the samples has 250 training and 60 test images.
const { full, small } = fashionScales
const ownFull = { ...full, samples: [250, 500, 1000, 2000], flags: { ...full.flags, testSamples: 600 } }

/** Figure 14: plain images. */
export const fig14: TrainingExperiment = {
  kind: 'training',
  name: 'fig14',
  title: 'Ten classes, the whole image',
  paper: 'Figure 14: ten-class accuracy of WRN and WRN-pMoE on CIFAR-10',
  claim: 'WRN-pMoE is more accurate with the same training images.',
  data: objectData(
    'cifar10',
    'fashion-mnist',
    'Fashion-MNIST itself, ten classes of clothes, each filling a 32x32 image.',
  ),
  variants: [dense, mixture],
  scales: { full: ownFull, small },
  paperScale: paperObjectScale([10_000, 20_000, 30_000, 40_000, 50_000]),
  figure: { kind: 'curve', measure: { of: 'accuracy' }, target: 0.9 },
}
