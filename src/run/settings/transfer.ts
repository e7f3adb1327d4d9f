import { FROZEN_STATISTICS } from '../../train/frozen/frozen-part.js'
import { optional, type Settings } from '../setting.js'
import {
  choice,
  folder,
  given,
  layerPatterns,
  positiveInteger,
  text,
  weightPatterns,
} from '../setting-values.js'

/** Which part of a network is trained. */
export const transferSettings = {
  freeze: {
    flag: '--freeze <layers>',
    help: 'layers that are not trained, by name or path, with * and ?: stem,group1_*',
    value: layerPatterns,
    in: { training: optional },
  },
  freezeUntil: {
    flag: '--freeze-until <layer>',
    help: 'a layer, by name or path: it and all layers before it are not trained, and compute as in an evaluation',
    value: text,
    in: { training: optional },
  },
  trainOnly: {
    flag: '--train-only <names>',
    help: 'layers and weights that are trained, by name or path, with * and ?: logits,*/bias; all others are not',
    value: weightPatterns,
    in: { training: optional },
  },
  freezeRouters: {
    flag: '--freeze-routers',
    help: 'do not train the routers of mixtures',
    value: given,
    in: { training: optional },
  },
  unfreezeEvery: {
    flag: '--unfreeze-every <epochs>',
    help:
      'gradual unfreezing: after so many epochs train one more block of what --freeze-until freezes, from the head down; a block ' +
      'lies between two layers after which a single tensor passes, as a residual block or a convolution with its normalization',
    value: positiveInteger,
    in: { training: optional },
  },
  frozenStatistics: {
    flag: '--frozen-statistics <name>',
    help:
      'what BatchNorm does in layers that are not trained: use its moving averages as they are (kept), or normalise by each batch ' +
      'and move the averages (followed)',
    byDefault: 'kept',
    value: choice(FROZEN_STATISTICS),
    in: { training: optional },
  },
  featureCache: {
    flag: '--feature-cache',
    negatable: true,
    help:
      'compute what the frozen layers before the lowest trained one give only once for each image, and keep it on the disk; not for ' +
      'training images that are augmented',
    byDefault: 'where such layers are frozen and the training images are the same in every epoch',
    value: given,
    whenResumed: 'may differ',
    in: { training: optional },
  },
  featureFolder: {
    flag: '--feature-folder <folder>',
    help: 'where that is kept: runs with the same frozen layers and images share it',
    byDefault: 'features in the folder of the run',
    value: folder,
    whenResumed: 'may differ',
    in: { training: optional },
  },
} as const satisfies Settings
