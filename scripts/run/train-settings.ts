import { resolve } from 'node:path'
import { Option } from 'commander'
import type { ModelName } from '../../src/models/recipes.js'
import { configChoices } from '../../src/run/run-config.js'
import {
  annealing,
  classNumbers,
  imageSize,
  imagesOrShare,
  layerPatterns,
  layerRate,
  numberSettings,
  pixelSize,
  positiveInteger,
  positiveNumber,
  seedNumber,
  share,
} from '../terminal/option-values.js'
import { UsageError } from '../terminal/usage-error.js'

/** A flag of `pmoe train` that changes one setting of the run's configuration. */
export interface TrainSetting {
  readonly option: Option
  /** Path of the setting in the configuration, for each model that has it: `training.epochs`. */
  readonly path: Partial<Readonly<Record<ModelName | 'init', string>>>
  /** What a flag without a value sets; true by default. */
  readonly value?: string
}

/** Flags that were given, by commander's camel-case names. */
export type GivenFlags = Readonly<Record<string, unknown>>

type Parser = (text: string) => unknown

const pmoe = 'model.options.pmoe.'
const options = 'model.options.'
const insert = 'model.options.insert.'

/** Headings of the flags in the help of commands. */
export const optionGroups = {
  data: 'Data:',
  network: 'Network:',
  mixture: 'Mixture of experts:',
  optimisation: 'Optimisation:',
  run: 'Run:',
} as const

/** Every setting that a flag changes; what is not given comes from the recipe of the dataset and the model. */
export const trainSettings: readonly TrainSetting[] = [
  ...inGroup('data', dataSettings()),
  ...inGroup('network', networkSettings()),
  ...inGroup('mixture', [...mixtureSettings(), ...routerSettings()]),
  ...inGroup('optimisation', optimisationSettings()),
  ...inGroup('run', runSettings()),
]

function inGroup(
  name: keyof typeof optionGroups,
  settings: readonly TrainSetting[],
): readonly TrainSetting[] {
  for (const { option } of settings) option.helpGroup(optionGroups[name])
  return settings
}

function networkSettings(): TrainSetting[] {
  return [
    setting('--depth <layers>', 'layers of a wide network, 6n+4', positiveInteger, wide(`${options}depth`)),
    setting(
      '--widen <factor>',
      'its groups have 16, 32 and 64 times this many channels',
      positiveInteger,
      wide(`${options}widenFactor`),
    ),
    setting(
      '--bn-momentum <share>',
      'what moving averages of BatchNorm keep at a step',
      share,
      wide(`${options}batchNormMomentum`),
    ),
    setting('--hidden-units <count>', 'hidden units of all experts together', positiveInteger, {
      'two-layer': `${options}hiddenUnits`,
      'two-layer-pmoe': `${options}hiddenUnits`,
    }),
    {
      ...flag('--new-head', 'have the head of --init start anew', { init: `${options}head` }),
      value: 'new',
    },
    {
      ...flag('--keep-head', 'keep the head of --init (default: new where its classes are others)', {
        init: `${options}head`,
      }),
      value: 'keep',
    },
  ]
}

function mixtureSettings(): TrainSetting[] {
  return [
    setting('--experts <count>', 'number of experts', positiveInteger, mixture('numExperts')),
    setting(
      '--patches-per-expert <count>',
      'patches that each expert keeps',
      positiveInteger,
      mixture('patchesPerExpert'),
    ),
    setting(
      '--patch-size <pixels>',
      'side of a patch (4 or 4x2): of the last map in wrn-pmoe, of the image in two-layer models',
      pixelSize,
      {
        ...mixture('patchSize'),
        'two-layer': `${options}patchSize`,
      },
    ),
    choice('--variant <name>', 'how the last block of wrn-pmoe becomes a mixture', configChoices.variant, {
      'wrn-pmoe': `${options}variant`,
    }),
    setting(
      '--layer <path>',
      'convolution of --init that becomes a mixture (default: the last that fits; pmoe plan lists all)',
      String,
      { init: `${insert}layer` },
    ),
    setting('--kernel-size <pixels>', "side of an expert's kernel, odd", positiveInteger, {
      'wrn-pmoe': `${pmoe}kernelSize`,
    }),
    choice('--border <name>', 'what an expert sees past its patch', configChoices.border, {
      'wrn-pmoe': `${pmoe}border`,
      init: `${insert}border`,
    }),
    choice('--gate <name>', 'how gates follow from scores', configChoices.gate, mixture('gate')),
    choice('--gate-scale <name>', 'how gates are scaled', configChoices.gateScale, {
      'wrn-pmoe': `${pmoe}gateScale`,
      init: `${insert}gateScale`,
    }),
    setting(
      '--anneal-patches <from:to:epochs>',
      'have each expert keep fewer patches from epoch to epoch: 64:16:5',
      annealing,
      { 'wrn-pmoe': 'training.annealPatches', init: 'training.annealPatches' },
    ),
  ]
}

function optimisationSettings(): TrainSetting[] {
  return [
    setting('--epochs <count>', 'passes over the training images', positiveInteger, every('training.epochs')),
    setting('--batch-size <images>', 'images a step', positiveInteger, every('training.batchSize')),
    setting('--lr <rate>', 'learning rate', positiveNumber, every('training.learningRate')),
    collected(
      '--lr-for <layers=rate>',
      'learning rate of some layers: patch_moe=0.05; may be repeated, the last that matches counts',
      layerRate,
      every('training.layerRates'),
    ),
    choice(
      '--optimizer <name>',
      'how weights follow from gradients',
      configChoices.optimizer,
      every('training.optimizer'),
    ),
    setting(
      '--momentum <share>',
      'what --optimizer momentum keeps of the steps before',
      share,
      every('training.momentum'),
    ),
    collected(
      '--freeze <layers>',
      'layers that are not trained, by name or path, with * and ?: stem,group1_*',
      layerPatterns,
      every('training.freeze'),
    ),
    choice(
      '--bn-statistics <name>',
      'what BatchNorm uses in evaluations',
      configChoices.bnStatistics,
      every('training.bnStatistics'),
    ),
    setting(
      '--early-stop <epochs>',
      'stop after this many epochs without a better loss on the validation half, or without one on the test half',
      positiveInteger,
      every('training.earlyStop'),
    ),
  ]
}

/** How a run computes, and what it keeps. */
function runSettings(): TrainSetting[] {
  return [
    setting('--seed <number>', 'seed of everything random (default: 1)', seedNumber, every('seed')),
    choice(
      '--precision <name>',
      'convolutions and feature maps: bf16 is faster on native TensorFlow where the processor has it (default: float32)',
      configChoices.precision,
      every('precision'),
    ),
    choice(
      '--memory <name>',
      'low computes outputs of BatchNorm and ReLU again in the backward pass: less memory, some time (default: normal)',
      configChoices.memory,
      every('memory'),
    ),
    setting(
      '--checkpoint-steps <steps>',
      'store the state this often within an epoch, besides its end',
      positiveInteger,
      every('training.checkpointSteps'),
    ),
  ]
}

/** How routers are trained, and whether it is measured where experts look. */
function routerSettings(): TrainSetting[] {
  const ofTwoLayer = (name: string) => ({ 'two-layer-pmoe': `training.${name}` })
  return [
    choice(
      '--router-training <mode>',
      'routers with the experts, or before them and then frozen, one for each class (default: joint)',
      configChoices.routerTraining,
      ofTwoLayer('routerTraining'),
    ),
    setting(
      '--router-epochs <count>',
      'passes that separate routers get (default: 100)',
      positiveInteger,
      ofTwoLayer('routerEpochs'),
    ),
    setting(
      '--router-batch-size <images>',
      'images of two classes a step of them (default: that of the experts)',
      positiveInteger,
      ofTwoLayer('routerBatchSize'),
    ),
    setting(
      '--router-lr <rate>',
      'their learning rate (default: that of the experts)',
      positiveNumber,
      ofTwoLayer('routerLearningRate'),
    ),
    flag('--routing-metrics', 'measure after each epoch where the experts look on the test images', {
      'wrn-pmoe': 'training.routingMetrics',
      'two-layer-pmoe': 'training.routingMetrics',
    }),
  ]
}

/** How many images, settings of some datasets, and how images come in batches. */
function dataSettings(): TrainSetting[] {
  const of = (name: string) => every(`dataset.${name}`)
  return [
    setting('--samples <count>', 'training images', positiveInteger, of('samples')),
    setting('--test-samples <count>', 'test images', positiveInteger, of('testSamples')),
    setting(
      '--image-size <pixels>',
      'height and width of the images: 64, or 64x48',
      imageSize,
      of('imageSize'),
    ),
    choice('--crop <name>', 'square cut out of faces before resizing', configChoices.crop, of('crop')),
    setting(
      '--white-level <value>',
      'sample value that becomes white, of images of more than 8 bits: 4095 (default: by each image)',
      positiveNumber,
      of('whiteLevel'),
    ),
    setting(
      '--max-unreadable <images>',
      'images that may be unreadable and are left out: 3, or 2% (default: 1%, at least 1)',
      imagesOrShare,
      of('maxUnreadable'),
    ),
    setting('--grid-side <cells>', 'cells on a side of a patch grid', positiveInteger, of('gridSide')),
    setting('--targets <classes>', 'class numbers to be recognised: 0,1', classNumbers, of('targets')),
    setting('--distractors <classes>', 'class numbers of the other cells', classNumbers, of('distractors')),
    setting(
      '--backgrounds <folder>',
      'images that lie behind the others',
      path => resolve(path),
      of('backgrounds'),
    ),
    setting(
      '--theory <settings>',
      'geometry of drawn patterns: deltaD=0.5,lStar=6 (also numClasses, patchSide, patternSets, deltaR, radius)',
      numberSettings('numClasses', 'patchSide', 'patternSets', 'deltaD', 'deltaR', 'radius', 'lStar'),
      of('theory'),
    ),
    flag('--flip', 'mirror training images at random', of('flip')),
    setting('--pad-crop <pixels>', 'pad training images and cut at random', positiveInteger, of('padCrop')),
    choice('--balance <by>', 'draw classes or groups equally often', configChoices.balance, of('balance')),
  ]
}

/** A configuration that is still being put together: plain JSON. */
export type Draft = { [key: string]: unknown }

/**
 * Puts the given flags into a configuration.
 *
 * @returns a changed copy
 * @throws UsageError for a flag that the model does not have
 */
export function withFlags(config: object, model: ModelName | 'init', given: GivenFlags): Draft {
  const draft = structuredClone(config) as Draft
  if (given.newHead && given.keepHead) {
    throw new UsageError('train: --new-head and --keep-head must not be given together')
  }
  for (const { option, path, value: meant } of trainSettings) {
    const flagged = given[option.attributeName()]
    if (flagged === undefined) continue
    const value = meant ?? flagged
    const place = path[model]
    if (place === undefined) {
      const models = Object.keys(path).join(', ')
      throw new UsageError(`train: ${option.long} must be used with ${models}, got model ${model}`)
    }
    place.split('.').reduce((inner: Draft, key, i, keys) => {
      if (i === keys.length - 1) inner[key] = value
      else inner[key] ??= {}
      return inner[key] as Draft
    }, draft)
  }
  return draft
}

function setting(
  flags: string,
  description: string,
  parse: Parser,
  path: TrainSetting['path'],
): TrainSetting {
  return { option: new Option(flags, description).argParser(parse), path }
}

/** A flag that adds to a list each time it is given. */
function collected(
  flags: string,
  description: string,
  parse: (text: string) => readonly unknown[],
  path: TrainSetting['path'],
): TrainSetting {
  const add = (text: string, before: readonly unknown[] = []) => [...before, ...parse(text)]
  return { option: new Option(flags, description).argParser(add), path }
}

function flag(name: string, description: string, path: TrainSetting['path']): TrainSetting {
  return { option: new Option(name, description), path }
}

function choice(
  flags: string,
  description: string,
  names: readonly string[],
  path: TrainSetting['path'],
): TrainSetting {
  return { option: new Option(flags, description).choices([...names]), path }
}

function every(path: string): Record<ModelName | 'init', string> {
  return { init: path, wrn: path, 'wrn-pmoe': path, 'two-layer': path, 'two-layer-pmoe': path }
}

function wide(path: string): TrainSetting['path'] {
  return { wrn: path, 'wrn-pmoe': path }
}

function mixture(name: string): TrainSetting['path'] {
  return { 'wrn-pmoe': pmoe + name, 'two-layer-pmoe': options + name, init: insert + name }
}
