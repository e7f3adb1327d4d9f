import { AGGREGATES } from '../../layers/moe/patch-experts-options.js'
import { type Prior, priorNames } from '../../layers/moe/priors.js'
import { EXPERT_PIXELS } from '../../models/small-expert.js'
import { TEACHERS } from '../../train/routing/lesson.js'
import { optional, required, type Settings } from '../setting.js'
import {
  choice,
  given,
  numberFromZero,
  pixelSize,
  positiveInteger,
  shareAboveZero,
  text,
  wholeNumber,
} from '../setting-values.js'

/** How a routed network looks at large images: in which patches, and how it chooses them. */
export const patchSettings = {
  cellSize: {
    flag: '--cell-size <pixels>',
    help: 'side of the cells that a large image is cut into, 32 or 32x48: about that of the things that count',
    value: pixelSize,
    in: { routed: required },
  },
  margin: {
    flag: '--margin <pixels>',
    help: 'what a patch has around its cell on each side, up to half a cell',
    byDefault: 'a quarter of a cell',
    value: wholeNumber,
    in: { routed: optional },
  },
  viewScale: {
    flag: '--view-scale <factor>',
    help: 'how many times smaller the view is in which cells are chosen; divides the cell',
    value: positiveInteger,
    in: { routed: required },
  },
  prior: {
    flag: '--prior <name>',
    help: 'what is added to the scores of cells, so that training finds a beginning',
    byDefault: 'contrast',
    value: choice(priorNames() as readonly Prior[]),
    in: { routed: optional },
  },
  priorWeight: {
    flag: '--prior-weight <factor>',
    help: 'times the prior is added',
    byDefault: '1',
    value: numberFromZero,
    in: { routed: optional },
  },
  priorUntil: {
    flag: '--prior-until <share>',
    help: 'share of the training after which the prior is left out; 1 keeps it, also in predictions',
    byDefault: '1',
    value: shareAboveZero,
    in: { routed: optional },
  },
  boxedImages: {
    flag: '--boxed-images <count>',
    help: 'training images whose boxes teach the router where to look, before it is trained with the experts',
    byDefault: 'none',
    value: positiveInteger,
    in: { dataset: { ...optional, models: ['routed'] } },
  },
  boxes: {
    flag: '--boxes <file>',
    help: 'table within --data of boxes that teach the router where to look: image,top,left,height,width',
    byDefault: 'none',
    value: text,
    in: { dataset: { ...optional, models: ['routed'] } },
  },
  teachBy: {
    flag: '--teach-by <what>',
    help: 'what teaches the router before it is trained with the experts: boxes, or the classes of the images alone',
    byDefault: 'boxes where there are any, else nothing',
    value: choice(TEACHERS),
    in: { training: { ...optional, models: ['routed'] } },
  },
  teachEpochs: {
    flag: '--teach-epochs <count>',
    help: 'passes of this teaching over the images with boxes, or all images',
    byDefault: '40 by boxes, 60 by labels',
    value: positiveInteger,
    in: { training: { ...optional, models: ['routed'] } },
  },
  aggregate: {
    flag: '--aggregate <name>',
    help: 'whether the outputs of experts come side by side or are added up',
    byDefault: 'concat',
    value: choice(AGGREGATES),
    in: { routed: optional },
  },
  expertLayers: {
    flag: '--expert-layers <count>',
    help: 'convolutions of an expert, each of which halves the patch',
    byDefault: '3, and more for patches of more than 64 pixels',
    value: positiveInteger,
    in: { routed: optional },
  },
  expertPixels: {
    flag: '--expert-pixels <range>',
    help: 'pixels as experts take them: from 0 to 1, or from -2 to 2, which suits photographs, as those are bright nearly everywhere',
    byDefault: 'zero-to-one, of image-folder centred',
    value: choice(EXPERT_PIXELS),
    in: { routed: optional },
  },
  shareExpert: {
    flag: '--share-expert',
    help: 'one network serves as all experts, which then differ in the patches that they keep',
    value: given,
    in: { routed: optional },
  },
} as const satisfies Settings
