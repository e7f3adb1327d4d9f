import * as z from 'zod'
import { BALANCED_BY } from '../../data/balanced.js'
import { CLUSTER_SETTINGS } from '../../data/datasets/cluster-samples.js'
import { datasets } from '../../data/datasets/datasets.js'
import { CANVAS_GROUNDS } from '../../data/datasets/megapixel/canvas-images.js'
import { CANVAS_TASKS } from '../../data/datasets/megapixel/canvas-plan.js'
import type { TheoryOptions } from '../../data/datasets/theory-patterns.js'
import { CROPS } from '../../data/photo-decoding.js'
import { optional, required, type Setting, type Settings } from '../setting.js'
import {
  choice,
  classNumbers,
  folder,
  imageSize,
  imagesOrShare,
  numbersByName,
  positiveInteger,
  positiveNumber,
  shareAboveZero,
  shareOrFold,
  text,
  wholeNumber,
} from '../setting-values.js'
import { inWholeImages } from './augmentation.js'

const inDataset = { dataset: optional } as const
/** Null stands for all images, or for the dataset's own number of them. */
const countOrNull = { dataset: { ...required, schema: positiveInteger.schema.nullable() } } as const

/** What a run is trained on. */
export const dataChoices = {
  dataset: {
    flag: '--dataset <name>',
    help: 'what to train on',
    value: choice(datasets.map(({ name }) => name)),
    in: {},
  },
  data: {
    flag: '--data <folder>',
    help: "folder of your own files, in the dataset's format",
    value: text,
    in: {},
  },
} as const satisfies Settings

/** Which images a dataset has; `pmoe data prepare` has these settings as well. */
export const imageSettings = {
  samples: {
    flag: '--samples <count>',
    help: 'training images',
    value: positiveInteger,
    in: countOrNull,
  },
  testSamples: {
    flag: '--test-samples <count>',
    help: 'test images',
    value: positiveInteger,
    in: countOrNull,
  },
  imageSize: {
    flag: '--image-size <pixels>',
    help: 'height and width of the images: 64, or 64x48',
    value: imageSize,
    in: inDataset,
  },
  crop: {
    flag: '--crop <name>',
    help: 'square cut out of faces before resizing',
    value: choice(CROPS),
    in: inDataset,
  },
  whiteLevel: {
    flag: '--white-level <value>',
    help: 'sample value that becomes white, of images of more than 8 bits: 4095',
    byDefault: 'by each image',
    value: positiveNumber,
    in: inDataset,
  },
  maxUnreadable: {
    flag: '--max-unreadable <images>',
    help: 'images that may be unreadable and are left out: 3, or 2%',
    byDefault: '1%, at least 1',
    whenResumed: 'may differ',
    value: imagesOrShare,
    in: inDataset,
  },
  gridSide: {
    flag: '--grid-side <cells>',
    help: 'cells on a side of a patch grid',
    value: positiveInteger,
    in: inDataset,
  },
  targets: {
    flag: '--targets <classes>',
    help: 'class numbers to be recognised: 0,1',
    value: classNumbers,
    in: inDataset,
  },
  distractors: {
    flag: '--distractors <classes>',
    help: 'class numbers that fill the other cells',
    value: classNumbers,
    in: inDataset,
  },
  backgrounds: {
    flag: '--backgrounds <folder>',
    help: 'images that lie behind the others',
    whenResumed: 'may differ',
    value: folder,
    in: inDataset,
  },
  setting: {
    flag: '--setting <name>',
    help: 'how strong noise is in clustered samples, of which the test half depends on --seed too',
    byDefault: 'S1',
    value: choice(CLUSTER_SETTINGS),
    in: inDataset,
  },
  theory: theory(),
  itemSide: {
    flag: '--item-side <pixels>',
    help: 'side of the items on large images',
    byDefault: 'as they are',
    value: positiveInteger,
    in: inDataset,
  },
  itemBrightness: {
    flag: '--item-brightness <share>',
    help: 'how bright items on large images are, beside strokes of the same brightness as ever',
    byDefault: '1',
    value: shareAboveZero,
    in: inDataset,
  },
  items: {
    flag: '--items <count>',
    help: 'items on a large image',
    byDefault: '5; 3 where one is to be found',
    value: positiveInteger,
    in: inDataset,
  },
  same: {
    flag: '--same <count>',
    help: 'items on a large image that show its class',
    byDefault: 'more than half; 1 where one is to be found',
    value: positiveInteger,
    in: inDataset,
  },
  strokes: {
    flag: '--strokes <count>',
    help: 'stroke patterns on a large image, under the items',
    byDefault: '20; 6 where an item is to be found',
    value: wholeNumber,
    in: inDataset,
  },
  background: {
    flag: '--background <name>',
    help: 'what lies behind the items of a large image',
    byDefault: 'black; noise where an item is to be found',
    value: choice(CANVAS_GROUNDS),
    in: inDataset,
  },
  task: {
    flag: '--task <name>',
    help: 'name the item that a large image shows most often, or say whether one is present',
    byDefault: 'majority',
    value: choice(CANVAS_TASKS),
    in: inDataset,
  },
} as const satisfies Settings

/** How batches are drawn from the images, prepared or not. */
export const batchSettings = {
  maxShift: {
    flag: '--max-shift <pixels>',
    help: 'move training images at random by up to this much, in steps of the view; 0 leaves them',
    byDefault: 'half a cell',
    value: wholeNumber,
    in: { dataset: { ...optional, models: ['routed'] } },
  },
  balance: {
    flag: '--balance <by>',
    help: 'draw classes or groups equally often',
    value: choice(BALANCED_BY),
    in: { dataset: { ...optional, models: inWholeImages.dataset.models } },
  },
  validation: {
    flag: '--validation <share>',
    help:
      'share of the training images of each class that choose the best epoch and are not trained on: ' +
      '0.2; or one of several folds: 2/5',
    byDefault: 'the validation half of the dataset, if it has one',
    value: shareOrFold,
    in: inDataset,
  },
} as const satisfies Settings

function theory() {
  const positive = positiveInteger.schema.exactOptional()
  const number = z.number().exactOptional()
  const geometry = {
    numClasses: positive,
    patchSide: positive,
    patternSets: positive,
    deltaD: number,
    deltaR: number,
    radius: number,
    lStar: positive,
  } as const satisfies Readonly<Record<keyof TheoryOptions, z.ZodType>>
  const others = Object.keys(geometry).filter(name => name !== 'deltaD' && name !== 'lStar')
  return {
    flag: '--theory <settings>',
    help: `geometry of drawn patterns: deltaD=0.5,lStar=6 (also ${others.join(', ')})`,
    value: numbersByName(geometry),
    in: inDataset,
  } as const satisfies Setting
}
