import type { Scale } from './experiment.js'
import { dense, narrow, paperObjects, paperTraining } from './wide.js'

/** The scales of figures 14 to 16 on Fashion-MNIST. */
export const fashionScales: Readonly<Record<'full' | 'small', Scale>> = {
  full: { seeds: 5, samples: [125, 250, 500, 1000, 2000], flags: { ...narrow, testSamples: 1000 } },
  small: { seeds: 2, samples: [100, 250], flags: { ...narrow, epochs: 5, testSamples: 300 } },
}

/** The paper's own settings on CIFAR-10. */
export function paperObjectScale(samples: readonly number[], patchesPerExpert = 16): Scale {
  const mixture = { ...paperObjects, flags: { ...paperObjects.flags, patchesPerExpert } }
  return { seeds: 5, samples, flags: paperTraining, variants: [dense, mixture] }
}
