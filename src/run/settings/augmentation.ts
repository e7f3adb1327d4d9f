import { PRESETS } from '../../data/augmentation/presets.js'
import { optional, runModels, type Settings } from '../setting.js'
import {
  choice,
  given,
  halfTurn,
  jitterStrength,
  numberFromZero,
  positiveInteger,
  probability,
  randAugmentation,
  wholeNumber,
} from '../setting-values.js'

/** Settings of images that are read whole. */
export const inWholeImages = {
  dataset: {
    ...optional,
    models: runModels.filter(model => model !== 'routed'),
    elsewhere: 'reads images in parts, which are moved alone (--max-shift)',
  },
} as const

/** How training images are varied; what `--augment` switches on, single flags change. */
export const augmentationSettings = {
  flip: {
    flag: '--flip',
    negatable: true,
    help: 'mirror training images at random',
    value: given,
    in: inWholeImages,
  },
  padCrop: {
    flag: '--pad-crop <pixels>',
    help: 'pad training images by this much and cut a window at random',
    value: positiveInteger,
    in: inWholeImages,
  },
  augment: {
    flag: '--augment <name>',
    help: 'vary training images in several ways',
    byDefault: 'none',
    value: choice(PRESETS),
    in: inWholeImages,
  },
  randomCrop: {
    flag: '--random-crop <share>',
    help: 'stretch a random window of at least this share of the area to the whole image',
    value: probability,
    in: inWholeImages,
  },
  verticalFlip: {
    flag: '--vertical-flip',
    help: 'mirror training images top to bottom at random',
    value: given,
    in: inWholeImages,
  },
  rotate: {
    flag: '--rotate <degrees>',
    help: 'turn training images by up to this angle',
    value: halfTurn,
    in: inWholeImages,
  },
  trivialAugment: {
    flag: '--trivial-augment',
    negatable: true,
    help: 'one of 14 changes of each image, of any strength',
    value: given,
    in: inWholeImages,
  },
  randAugment: {
    flag: '--rand-augment <count:strength>',
    help: 'this many of 14 changes of each image, of this strength up to 30: 2:9',
    value: randAugmentation,
    in: inWholeImages,
  },
  jitter: {
    flag: '--jitter <strength>',
    help: 'vary brightness, contrast and saturation: 0.4, or each: brightness=0.4,hue=0.1',
    value: jitterStrength,
    in: inWholeImages,
  },
  grey: {
    flag: '--grey <probability>',
    help: 'take the colours out of some training images',
    value: probability,
    in: inWholeImages,
  },
  blur: {
    flag: '--blur <probability>',
    help: 'blur some training images',
    value: probability,
    in: inWholeImages,
  },
  erase: {
    flag: '--erase <probability>',
    help: 'make a box of some training images black',
    value: probability,
    in: inWholeImages,
  },
  mixup: {
    flag: '--mixup <alpha>',
    help: 'add pairs of training images and their labels, by shares of Beta(alpha, alpha)',
    value: numberFromZero,
    in: inWholeImages,
  },
  cutmix: {
    flag: '--cutmix <alpha>',
    help: 'paste a box of another image into each, of an area by Beta(alpha, alpha)',
    value: numberFromZero,
    in: inWholeImages,
  },
  workers: {
    flag: '--workers <threads>',
    help: 'threads that vary training images while others are computed; any number gives the same images',
    byDefault: '1',
    whenResumed: 'may differ',
    value: wholeNumber,
    in: inWholeImages,
  },
} as const satisfies Settings
