import { optimizerNames } from '../../train/optimizer.js'
import { BN_STATISTICS } from '../../train/train-options.js'
import { optional, required, type Settings } from '../setting.js'
import {
  choice,
  layerPatterns,
  layerRates,
  positiveInteger,
  positiveNumber,
  share,
} from '../setting-values.js'

/** How the weights of a network are trained. */
export const optimisationSettings = {
  epochs: {
    flag: '--epochs <count>',
    help: 'passes over the training images',
    whenResumed: 'may grow',
    value: positiveInteger,
    in: { training: required },
  },
  batchSize: {
    flag: '--batch-size <images>',
    help: 'images in one step',
    value: positiveInteger,
    in: { training: required },
  },
  learningRate: {
    flag: '--lr <rate>',
    help: 'learning rate',
    value: positiveNumber,
    in: { training: required },
  },
  layerRates: {
    flag: '--lr-for <layers=rate>',
    help: 'learning rate of some layers: patch_moe=0.05; may be repeated, the last that matches counts',
    value: layerRates,
    in: { training: optional },
  },
  optimizer: {
    flag: '--optimizer <name>',
    help: 'how weights follow from gradients',
    value: choice(optimizerNames),
    in: { training: required },
  },
  momentum: {
    flag: '--momentum <share>',
    help: 'share of the previous step that --optimizer momentum adds to each step',
    value: share,
    in: { training: optional },
  },
  freeze: {
    flag: '--freeze <layers>',
    help: 'layers that are not trained, by name or path, with * and ?: stem,group1_*',
    value: layerPatterns,
    in: { training: optional },
  },
  bnStatistics: {
    flag: '--bn-statistics <name>',
    help: 'what BatchNorm uses in evaluations',
    value: choice(BN_STATISTICS),
    in: { training: required },
  },
  earlyStop: {
    flag: '--early-stop <epochs>',
    help:
      'stop after this many epochs without a better loss on the validation half, ' +
      'or without one on the test half',
    value: positiveInteger,
    in: { training: optional },
  },
} as const satisfies Settings
