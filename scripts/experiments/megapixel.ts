import type { LargeImagesTask, LargeImagesVariant, MegapixelExperiment } from './experiment.js'

/** Networks of the same layers, by what they read. */
export const largeImagesVariants: readonly LargeImagesVariant[] = [
  { name: 'dense', reads: 'image', flags: {} },
  { name: 'view', reads: 'view', flags: {} },
  { name: 'routed, K = 1', reads: 'patches', flags: { experts: 1, patchesPerExpert: 10 } },
  { name: 'routed, K = 4', reads: 'patches', flags: { experts: 4, patchesPerExpert: 5 } },
]

/** Which of ten digits comes most often, among 20 strokes. */
export const smallMajority: LargeImagesTask = {
  name: 'majority, 128x128',
  dataset: 'megapixel-digits',
  flags: { task: 'majority', gate: 'softmax-selected' },
  samples: [250, 1000, 4000],
  testSamples: 500,
}

/** Whether one given digit is there, on noise. */
export const smallPresent: LargeImagesTask = {
  name: 'present, 128x128',
  dataset: 'megapixel-digits',
  flags: { task: 'present', gate: 'product' },
  samples: [1000],
  testSamples: 500,
  variants: ['dense', 'view', 'routed, K = 1'],
}

const clothes = (side: number): LargeImagesTask => ({
  name: `majority, ${side}x${side}`,
  dataset: 'megapixel-fashion',
  flags: { task: 'majority', gate: 'softmax-selected', imageSize: [side, side] },
  samples: [1000],
  testSamples: 500,
})

const training = { steps: 960, batchSize: 32 } as const

/** Accuracy, recall and cost of networks that read large images whole, small, or in patches. */
export const megapixel: MegapixelExperiment = {
  kind: 'megapixel',
  name: 'megapixel',
  title: 'Large images: whole, small, or in patches',
  paper:
    'Experts that are whole networks, after the idea of patch-level mixtures, on the megapixel task of Katharopoulos and Fleuret, Processing megapixel images with deep attention-sampling models (ICML 2019)',
  claim:
    'A network that reads only the patches that a router keeps learns what the same network learns from whole images, at a fraction of the work that does not grow with the image; from shrunken images it does not.',
  data: 'Drawn images, small things among strokes; majority asks which of ten classes three of five things show, present whether one of three digits on noise is a zero. At 128x128 the things are digits of 8x8 from the package, at 512x512 and 1504x1504 clothes of 28x28. A training set of its own for each seed, one test set for all.',
  variants: largeImagesVariants,
  baseline: 'dense',
  scales: {
    full: {
      seeds: 5,
      tasks: [clothes(512), clothes(1504)],
      ...training,
      cost: { dataset: 'megapixel-fashion', sides: [256, 512, 1024, 1504], batch: 4, rounds: 5 },
    },
    small: {
      seeds: 5,
      tasks: [smallMajority, smallPresent],
      ...training,
      cost: { dataset: 'megapixel-fashion', sides: [256, 512, 1024], batch: 4, rounds: 3 },
    },
  },
}
