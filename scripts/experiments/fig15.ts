import type { TrainingExperiment } from './experiment.js'
import { dense, fashionScales, mixture, objectData, paperObjectScale } from './wide.js'

/** Figure 15: an object on a background. */
export const fig15: TrainingExperiment = {
  kind: 'training',
  name: 'fig15',
  title: 'An object anywhere on plants',
  paper: 'Figure 15: accuracy of WRN and WRN-pMoE on CIFAR-10 in front of plants of ImageNet',
  claim: 'WRN-pMoE is more accurate, by more than on the plain images.',
  data: objectData(
    'cifar10-noise',
    'fashion-noise',
    'an accessory of Fashion-MNIST of 16x16 pixels, one of four classes, anywhere on photographs of plants.',
  ),
  variants: [dense, mixture],
  scales: fashionScales,
  paperScale: paperObjectScale([10_000, 20_000, 30_000, 40_000, 50_000], 2),
  figure: { kind: 'curve', measure: { of: 'accuracy' }, target: 0.9 },
}
