import * as z from 'zod'
import { LOSS_FORMS } from '../../train/loss.js'
import { GRADIENT_NORMS } from '../../train/optimizers/normalized-gradient-descent.js'
import { optimizerNames } from '../../train/optimizers/optimizer-options.js'
import { SCHEDULES } from '../../train/optimizers/schedules.js'
import { BN_STATISTICS } from '../../train/train-options.js'
import { optional, required, type Settings } from '../setting.js'
import {
  batchImages,
  choice,
  classWeights,
  layerRates,
  numberFromZero,
  numbersByName,
  openShare,
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
    help: 'images in one step; auto measures how many fit the memory, and takes fewer where there are few images',
    value: batchImages,
    in: { training: { ...required, schema: positiveInteger.schema } },
  },
  learningRate: {
    flag: '--lr <rate>',
    help: 'learning rate',
    value: positiveNumber,
    in: { training: required },
  },
  layerRates: {
    flag: '--lr-for <layers=rate>',
    help:
      'learning rate of some layers, patch_moe=0.05, or weights, logits/router=0.1; ' +
      'may be repeated, the last that matches counts',
    value: layerRates,
    in: { training: optional },
  },
  optimizer: {
    flag: '--optimizer <name>',
    help: 'how weights follow from gradients',
    value: choice(optimizerNames),
    in: { training: required },
  },
  schedule: {
    flag: '--schedule <name>',
    help:
      'how the learning rate changes: cosine lets it fall to 0 over the whole training, step falls every --decay-epochs, ' +
      'one-cycle rises and falls once, plateau falls when the validation or test loss no longer does',
    byDefault: 'constant, or the recipe',
    value: choice(SCHEDULES),
    in: { training: optional },
  },
  warmupEpochs: {
    flag: '--warmup-epochs <epochs>',
    help: 'epochs, also a part of one, in which the learning rate rises to where the schedule begins',
    byDefault: '0',
    value: numberFromZero,
    in: { training: optional },
  },
  decayEpochs: {
    flag: '--decay-epochs <count>',
    help: 'epochs between two falls of --schedule step',
    byDefault: 'a third of the epochs',
    value: positiveInteger,
    in: { training: optional },
  },
  decayRate: {
    flag: '--decay-rate <share>',
    help: 'what the learning rate is multiplied by when --schedule step or plateau lets it fall',
    byDefault: '0.1',
    value: openShare,
    in: { training: optional },
  },
  patienceEpochs: {
    flag: '--patience-epochs <count>',
    help: 'epochs without a lower loss after which --schedule plateau lets the learning rate fall',
    byDefault: '5',
    value: positiveInteger,
    in: { training: optional },
  },
  clipNorm: {
    flag: '--clip-norm <norm>',
    help: 'the greatest norm of all gradients together; larger ones are scaled down to it',
    value: positiveNumber,
    in: { training: optional },
  },
  momentum: {
    flag: '--momentum <share>',
    help: 'share of the previous step that --optimizer momentum or normalized-gd adds to each step',
    value: share,
    in: { training: optional },
  },
  norm: {
    flag: '--norm <name>',
    help:
      "what --optimizer normalized-gd divides an expert's gradient by: the norm of all its weights, " +
      'or the sum of the norms of each',
    byDefault: 'frobenius',
    value: choice(GRADIENT_NORMS),
    in: { training: optional },
  },
  weightDecay: {
    flag: '--weight-decay <share>',
    help:
      'share of itself, times the learning rate, that a weight loses before each step (decoupled, as in AdamW); ' +
      'biases and normalizations lose nothing',
    byDefault: '0.01 for adamw, else 0',
    value: numberFromZero,
    in: { training: optional },
  },
  epsilon: {
    flag: '--epsilon <number>',
    help: 'what --optimizer adam and adamw add to the root of the second moment',
    byDefault: '1e-7',
    value: positiveNumber,
    in: { training: optional },
  },
  l2: {
    flag: '--l2 <coefficient>',
    help: 'times the weights is added to their gradients',
    byDefault: '0',
    value: numberFromZero,
    in: { training: optional },
  },
  labelSmoothing: {
    flag: '--label-smoothing <share>',
    help: 'share of each label that is spread evenly over all classes in training',
    byDefault: '0',
    value: share,
    in: { training: optional },
  },
  classWeights: {
    flag: '--class-weights <weights>',
    help:
      'what the training loss of each class is multiplied by: balanced, which lets all classes weigh the same together, ' +
      'or numbers by name, cat=2,dog=0.5, 1 for the others',
    byDefault: 'all 1',
    value: classWeights,
    in: { training: optional },
  },
  emaDecay: {
    flag: '--ema-decay <share>',
    help:
      'average the weights over the steps, this share of the average staying in each (0.99 for hundreds of steps, 0.999 for ' +
      'thousands); the averages are what is evaluated and saved',
    byDefault: 'no average',
    value: openShare,
    in: { training: optional },
  },
  bnStatistics: {
    flag: '--bn-statistics <name>',
    help: 'what BatchNorm uses in evaluations',
    value: choice(BN_STATISTICS),
    in: { training: required },
  },
  lossForm: {
    flag: '--loss-form <name>',
    help:
      'cross-entropy of the softmax of the logits, or of the softmax of these probabilities once more, ' +
      'as published code of sample-level mixtures has it: at least 0.3133 for two classes',
    byDefault: 'cross-entropy',
    value: choice(LOSS_FORMS),
    in: { training: optional },
  },
  stopWhen: {
    flag: '--stop-when <limits>',
    help:
      'with batches of all training images, stop before the step at a loss of at most lossAtMost, or, after epoch ' +
      'afterEpoch, of more than lossAboveBest above the least: lossAtMost=0.314,lossAboveBest=0.02',
    value: numbersByName({
      lossAtMost: z.number().nonnegative().exactOptional(),
      lossAboveBest: z.number().nonnegative().exactOptional(),
      afterEpoch: z.int().nonnegative().exactOptional(),
    }),
    in: { training: optional },
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
