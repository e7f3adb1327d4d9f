import type { LocaliseExperiment } from './experiment.js'
import { largeImagesVariants, megapixel, smallMajority, smallPresent } from './megapixel.js'

const { full, small } = megapixel.scales
const one = { samples: [1000] }

/** Where networks look that were trained on large images, judged where boxes are known. */
export const localise: LocaliseExperiment = {
  kind: 'localise',
  name: 'localise',
  title: 'Where networks look on large images',
  paper:
    'The pointing game of Zhang et al., Top-down neural attention by excitation backprop (ECCV 2016), of routers against Grad-CAM (Selvaraju et al., ICCV 2017) and occlusion (Zeiler and Fergus, ECCV 2014) on the dense network',
  claim:
    'The patch that counts most in a routed network lies on a thing that decides the class at least as often as the strongest point of an explanation of the dense network.',
  data: `The networks of the study megapixel, trained on 1,000 images, and their test images. ${megapixel.data}`,
  variants: largeImagesVariants.filter(({ reads }) => reads !== 'view'),
  scales: {
    // Occlusion at 1504x1504 would compute each image 2,209 times.
    full: {
      seeds: 5,
      tasks: full.tasks.slice(0, 1),
      steps: full.steps,
      batchSize: full.batchSize,
      images: 100,
    },
    small: {
      seeds: 5,
      tasks: [
        { ...smallMajority, ...one },
        { ...smallPresent, ...one, variants: ['dense', 'routed, K = 1'] },
      ],
      steps: small.steps,
      batchSize: small.batchSize,
      images: 200,
    },
  },
}
