import * as z from 'zod'
import { PIXEL_SCALINGS } from '../../layers/input-scaling.js'
import { BANK_ACTIVATIONS } from '../../layers/moe/filter-banks.js'
import { optional, required, runModels, type Settings } from '../setting.js'
import { choice, folder, given, positiveInteger, positiveNumber, share, text } from '../setting-values.js'

/** Which network a run trains. */
export const networkChoices = {
  model: {
    flag: '--model <name>',
    help: 'the network',
    value: choice(runModels),
    in: {},
  },
  init: {
    flag: '--init <network>',
    help: 'train a network further: folder of a run, of a saved tfjs LayersModel or its model.json, or a .keras or .h5 file of Keras',
    value: text,
    in: {},
  },
} as const satisfies Settings

/** What a network is made of, besides its mixture. */
export const networkSettings = {
  depth: {
    flag: '--depth <layers>',
    help: 'layers of a wide network, 6n+4',
    value: positiveInteger,
    in: { wideResNet: required },
  },
  widenFactor: {
    flag: '--widen <factor>',
    help: 'a wide network has 16, 32 and 64 times this many channels in its three groups',
    value: positiveInteger,
    in: { wideResNet: required },
  },
  batchNormMomentum: {
    flag: '--bn-momentum <share>',
    help: 'share of their value that moving averages of BatchNorm keep in a step',
    value: share,
    in: { wideResNet: optional },
  },
  oneLogit: {
    help: 'two classes share one logit',
    value: given,
    in: { wideResNet: optional, twoLayer: optional },
  },
  hiddenUnits: {
    flag: '--hidden-units <count>',
    help: 'hidden units of all experts together',
    value: positiveInteger,
    in: { twoLayer: required },
  },
  filtersPerOutput: {
    flag: '--filters <count>',
    help: 'filters of each class, in each expert, that sample-moe and sample-single sum',
    value: positiveInteger,
    in: { sampleMoE: required },
  },
  filters: {
    flag: '--expert-filters <count>',
    help: 'filters of the first of three convolutions of each expert of sample-networks; the next have twice and four times as many',
    value: positiveInteger,
    in: { sampleNetworks: required },
  },
  activation: {
    flag: '--activation <name>',
    help: 'what these filters do to their inner products: z^3, z or max(z, 0)',
    value: choice(BANK_ACTIVATIONS),
    in: { sampleMoE: required },
  },
  initialScale: {
    flag: '--initial-scale <factor>',
    help: 'initial weights of these filters are uniform up to this over the square root of the numbers in a patch',
    value: positiveNumber,
    in: { sampleMoE: required },
  },
  from: {
    help: 'folder of the run or the model that the network comes from; the run folder keeps what it started as',
    value: folder,
    in: { initial: required },
  },
  inputScaling: {
    flag: '--input-scaling <name>',
    help: 'how the network of --init takes pixels; a layer in front of it then makes that of 0..1',
    byDefault: 'auto: recognised by its first layers or their names, else 0..1',
    value: choice([...PIXEL_SCALINGS, 'auto']),
    in: { initial: { ...optional, schema: z.enum(PIXEL_SCALINGS) } },
  },
  head: {
    switches: [
      { flag: '--new-head', sets: 'new', help: 'train a new head in the place of that of --init' },
      {
        flag: '--keep-head',
        sets: 'keep',
        help: 'keep the head of --init',
        byDefault: 'new unless it says that its classes are those of the images',
      },
    ],
    help: 'whether the head of --init starts anew',
    value: choice(['new', 'keep']),
    in: { initial: optional },
  },
} as const satisfies Settings
