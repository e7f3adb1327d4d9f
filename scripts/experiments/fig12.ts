import type { TrainingExperiment, Variant } from './experiment.js'
import { dense, faceData, mixture, narrow, paperFaces, paperTraining } from './wide.js'

const flags = { ...narrow, testSamples: 1000 }
const counts = [4000, 8000, 12_000, 16_000] as const
// Read off the authors' figure, give or take 0.2 points.
const denseAccuracies = [0.746, 0.831, 0.853, 0.861] as const
const mixtureAccuracies = [0.848, 0.862, 0.871, 0.878] as const
const denseSeconds = [260, 324, 468, 630] as const
const mixtureSeconds = [156, 192, 280, 368] as const

function withPublished(variant: Variant, accuracies: readonly number[]): Variant {
  return { ...variant, published: counts.map((samples, i) => ({ samples, accuracy: accuracies[i]! })) }
}

/** Figure 12 and Table 2: four classes of faces, and the time until convergence. */
export const fig12: TrainingExperiment = {
  kind: 'training',
  name: 'fig12',
  title: 'Four classes of faces, and the time that they take',
  paper:
    'Figure 12 and Table 2: test accuracy of WRN and WRN-pMoE on Smiling x Eyeglasses of CelebA; time until convergence',
  claim: 'WRN-pMoE needs half the training images for the same accuracy, and converges in 0.6 of the time.',
  data: faceData('celeba-multiclass'),
  variants: [withPublished(dense, denseAccuracies), withPublished(mixture, mixtureAccuracies)],
  scales: {
    full: { seeds: 5, samples: [250, 500, 1000], flags },
    small: { seeds: 2, samples: [100, 250], flags: { ...flags, epochs: 5, testSamples: 300 } },
  },
  paperScale: {
    seeds: 5,
    samples: counts,
    flags: paperTraining,
    variants: [withPublished(dense, denseAccuracies), withPublished(paperFaces, mixtureAccuracies)],
  },
  convergence: {
    [dense.name]: counts.map((samples, i) => ({ samples, seconds: denseSeconds[i]! })),
    [mixture.name]: counts.map((samples, i) => ({ samples, seconds: mixtureSeconds[i]! })),
  },
  figure: { kind: 'curve', measure: { of: 'accuracy' }, target: 0.86 },
}
