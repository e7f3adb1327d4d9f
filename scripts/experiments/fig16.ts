import type { TrainingExperiment } from './experiment.js'
import { dense, fashionScales, mixture, objectData, paperObjectScale } from './wide.js'

/** Figure 16: one quadrant among four. */
export const fig16: TrainingExperiment = {
  kind: 'training',
  name: 'fig16',
  title: 'One quadrant of four',
  paper: 'Figure 16: four-class accuracy of WRN and WRN-pMoE on CIFAR-Vehicles',
  claim: 'WRN-pMoE is more accurate, by more than on the plain images.',
  data: objectData(
    'cifar-vehicles',
    'fashion-quadrants',
    'an accessory of Fashion-MNIST in one quadrant, one of four classes, clothes in the other three.',
  ),
  variants: [dense, mixture],
  scales: fashionScales,
  paperScale: paperObjectScale([4000, 8000, 12_000, 16_000, 20_000]),
  figure: { kind: 'curve', measure: { of: 'accuracy' }, target: 0.9 },
}
