import type { TrainingExperiment, Variant } from './experiment.js'
import { mixture, narrow, objectData } from './wide.js'

const strengths = [0.1, 1] as const

/** The mixture with a term in its loss, at each strength. */
function withTerm(name: string, flag: 'loadBalance' | 'diversity'): Variant[] {
  return strengths.map(strength => ({
    ...mixture,
    name: `${name} ${strength}`,
    flags: { ...mixture.flags, [flag]: strength },
  }))
}

const flags = { ...narrow, epochs: 15, batchSize: 16, testSamples: 500 }

/** The terms that a mixture can add to its loss, at several strengths, against none. */
export const terms: TrainingExperiment = {
  kind: 'training',
  name: 'terms',
  title: 'Do load-balance and diversity terms help experts that choose patches?',
  paper: 'No figure of the paper, which has no such terms: each at two strengths, against none',
  claim:
    'A term that makes experts look at different patches, or at all positions alike, raises the accuracy.',
  data: objectData(
    'cifar-vehicles',
    'fashion-quadrants',
    'an accessory of Fashion-MNIST in one quadrant, one of four classes, clothes in the other three.',
  ),
  variants: [
    { ...mixture, name: 'no term' },
    ...withTerm('load balance', 'loadBalance'),
    ...withTerm('diversity', 'diversity'),
  ],
  scales: {
    full: { seeds: 5, samples: [250], flags },
    small: { seeds: 2, samples: [100], flags: { ...flags, epochs: 3, testSamples: 300 } },
  },
  paperScale: { seeds: 5, samples: [4000], flags },
  showsExperts: true,
  figure: { kind: 'bars' },
}
